# What each candidate for nc says of itself, for the reader to recognise.
unset TIELINE
naps=0

# A help that does not end is ended: what is called nc may be anything. All of them together have about
# a second, more where the machine is slow. The first nap is none, only a chance for the shell to see
# who has ended.
help() {
	"$@" </dev/null 2>&1 &
	nc=$! pause=0
	while sleep "$pause" 2>/dev/null || { sleep 1 2>/dev/null && naps=$((naps + 19)); }; do
		kill -0 "$nc" 2>/dev/null || break
		naps=$((naps + 1)) pause=0.01
		[ "$naps" -lt 20 ] || pause=0.05
		[ "$naps" -lt 40 ] || { kill -9 "$nc" && break; } 2>/dev/null
	done
	wait "$nc" 2>/dev/null
}

for name in nc ncat netcat nc.openbsd nc.traditional busybox toybox bash; do
	command -v "$name" >/dev/null 2>&1 || continue
	case $name in busybox | toybox) applet=nc ;; *) applet= ;; esac
	printf '\ntieline: tool %s\n' "$name $applet"
	help "$name" $applet -h
	help "$name" $applet --help
done
printf '\ntieline: done\n'

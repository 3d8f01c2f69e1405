# What each candidate for nc says of itself, for the reader to recognise.
unset TIELINE
for name in nc ncat netcat nc.openbsd nc.traditional busybox toybox; do
	command -v "$name" >/dev/null 2>&1 || continue
	case $name in busybox | toybox) applet=nc ;; *) applet= ;; esac
	printf '\ntieline: tool %s\n' "$name $applet"
	"$name" $applet -h </dev/null 2>&1
	"$name" $applet --help </dev/null 2>&1
done
printf '\ntieline: done\n'

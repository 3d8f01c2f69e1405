# What both sides have: the controller is at stdin (3), nc is watched in short naps and waited for.
unset TIELINE
trap : PIPE
exec 3<&0 </dev/null
nc= pause=0.01 polls=0 asked_to=

# From here on it can be asked to end: TERM makes it stop as if its time were up, and not between the start of a
# process and the note of whose end has to be seen.
watched() {
	trap 'asked_to=end' TERM
	say pid $$
}
# Whether it has to end.
over() {
	clock
	[ -n "$asked_to" ] || [ "$now" -ge "$deadline" ]
}
say() { printf '\ntieline: %s\n' "$*" >&2; }
clock() { read -r up _ </proc/uptime && now=${up%.*}${up#*.}; }
nap() {
	sleep "$pause" 2>/dev/null || sleep 1 2>/dev/null || finish lacks sleep
	polls=$((polls + 1))
	[ "$polls" -lt 20 ] || pause=0.05
}
# The inodes of all that nc has open, each as " 123 "; empty where they cannot be read: the kernel tells them
# since 5.14, and before there has to be an ls.
held() {
	held=
	for info in "/proc/$nc/fdinfo/"*; do
		while read -r key inode; do
			[ "$key" != ino: ] || held="$held $inode "
		done <"$info"
	done 2>/dev/null
	[ -n "$held" ] || held=$(ls -l "/proc/$nc/fd" 2>/dev/null)
	case $held in *socket:*) held=$(IFS='[]'; for word in $held; do printf ' %s ' "$word"; done) ;; esac
}
# TERM cuts a wait short, once.
end() {
	[ -z "$nc" ] || { kill -9 "$nc"; wait "$nc"; wait "$nc"; } 2>/dev/null
	nc=
}
finish() {
	end
	say "$@"
	exit 0
}


# What both sides have: the controller is at stdin (3), nc is watched in short naps and waited for.
unset TIELINE
trap : PIPE
exec 3<&0 </dev/null
nc= pause=0.01 polls=0

# From here on it can be asked to end: TERM makes it stop as if its time were up.
watched() {
	trap stopped TERM
	say pid $$
}
say() { printf '\ntieline: %s\n' "$*" >&2; }
clock() { read -r up _ </proc/uptime && now=${up%.*}${up#*.}; }
nap() {
	sleep "$pause" 2>/dev/null || sleep 1 2>/dev/null || finish lacks sleep
	polls=$((polls + 1))
	[ "$polls" -lt 20 ] || pause=0.05
}
end() {
	[ -z "$nc" ] || { kill -9 "$nc"; wait "$nc"; } 2>/dev/null
	nc=
}
finish() {
	end
	say "$@"
	exit 0
}


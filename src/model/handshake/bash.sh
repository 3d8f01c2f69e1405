# A client by bash alone. It has no select: it listens to its stdin and to its peer in turns.
# bash -c 'eval "$TIELINE_BASH"' knock|talk|ask HOST PORT
unset TIELINE_BASH
exec 3<>"/dev/tcp/$1/$2" || exit
said=
# Says on $to what comes from $from, as much as there is. Fails at its end.
pass() {
	IFS= read -r -t 0.05 -u "$from" line
	case $? in
	0) printf '%s\n' "$line" >&"$to" ;;
	[1-9] | [1-9][0-9]) printf %s "$line" >&"$to" && return 1 ;;
	*) printf %s "$line" >&"$to" ;;
	esac
}
while :; do
	from=3 to=1
	pass || exit 0
	[ -z "$said" ] || continue
	from=0 to=3
	pass || said=yes
	case "$0 $said" in
	'talk yes') exit 0 ;;
	# Who waits for the end of what is said would wait for ever.
	'ask yes') echo 'bash: half-close: not found' >&2 && exit 1 ;;
	esac
done

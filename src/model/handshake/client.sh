# Consumer side: nc connects when told the port, and talks until it ends or its time is up; a knock ends
# as soon as the connection is there.
# sh -c 'eval "$TIELINE"' tieline CENTISECONDS talk|knock 'HEX-OF-PORT HEX-OF-PORT …' NC ARGUMENT…
# The first line on stdin is the port, the rest is for nc.
bound=$1 how=$2 hexes=$3
shift 3

# The rows of sockets to $hex. By grep where there is one: a table may have thousands of rows, and the
# shell reads them byte by byte.
rows() {
	for table in /proc/net/tcp /proc/net/tcp6; do
		[ -r "$table" ] || continue
		grep ":$hex 0" "$table" 2>/dev/null
		[ $? -lt 2 ] || while IFS= read -r row; do printf '%s\n' "$row"; done <"$table"
	done
}

# The state of nc's own socket: 02 is connecting, any other connected, empty means there is none. The
# program that lives here may well be connected to the same port: only the inode tells whose it is.
peer() {
	held=$(ls -l "/proc/$nc/fd" 2>/dev/null)
	case $held in *socket:*) ;; ?*) own= && return ;; esac
	own=$(for hex in $hexes; do rows; done | while read -r _ _ there state _ _ _ _ _ inode _; do
		for hex in $hexes; do
			case $there in *":$hex") ;; *) continue ;; esac
			case $held in '' | *"socket:[$inode]"*) printf %s "$state" && exit ;; esac
		done
	done)
}

stopped() {
	peer
	finish bound "$own"
}

clock || finish lacks /proc
deadline=$((now + bound))
watched
# What waits for the port becomes nc: one process to watch, and no time lost between the two.
case $how in
knock) (read -r port && exec "$@" "$port") <&3 3<&- >/dev/null & ;;
*) (read -r port && exec "$@" "$port") <&3 3<&- & ;;
esac
nc=$!
say up
while nap; kill -0 "$nc" 2>/dev/null; do
	if [ "$how" = knock ]; then
		peer
		case $own in '' | 02) ;; *) finish open ;; esac
	fi
	clock
	[ "$now" -lt "$deadline" ] || stopped
done
wait "$nc" 2>/dev/null
code=$? nc=
finish exit "$code"

# Consumer side: nc talks until it ends or its time is up; a knock ends as soon as the connection is there.
# sh -c 'eval "$TIELINE"' tieline CENTISECONDS HEX-OF-PORT talk|knock NC ARGUMENT…
bound=$1 hex=$2 how=$3
shift 3

# The rows of sockets to $hex: by grep where there is one, for a table may have thousands of rows.
rows() {
	for table in /proc/net/tcp /proc/net/tcp6; do
		[ -r "$table" ] || continue
		grep ":$hex 0" "$table" 2>/dev/null
		[ $? -lt 2 ] || while IFS= read -r row; do printf '%s\n' "$row"; done <"$table"
	done
}

# The state of nc's own socket to $hex: 02 is connecting, any other connected, empty means there is none.
# The program that lives here may well be connected to the same port: only the inode tells whose it is.
peer() {
	held=$(ls -l "/proc/$nc/fd" 2>/dev/null)
	case $held in *socket:*) ;; ?*) own= && return ;; esac
	own=$(rows | while read -r _ _ there state _ _ _ _ _ inode _; do
		case $there in *":$hex") ;; *) continue ;; esac
		case $held in '' | *"socket:[$inode]"*) printf %s "$state" && break ;; esac
	done)
}

stopped() {
	peer
	finish bound "$own"
}

clock || finish lacks /proc
deadline=$((now + bound))
watched
case $how in
knock) "$@" <&3 3<&- >/dev/null & ;;
*) "$@" <&3 3<&- & ;;
esac
nc=$!
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

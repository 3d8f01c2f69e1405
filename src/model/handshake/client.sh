# Consumer side: nc connects when told the port, and talks until it ends or its time is up; a knock ends
# as soon as the connection is there.
# sh -c 'eval "$TIELINE"' tieline CENTISECONDS tcp|udp|unix knock|talk|ask 'HEX-OF-PORT …' NC ARGUMENT…
# The first line on stdin is the port, and empty for a unix socket, which has none; the rest is for nc.
bound=$1 transport=$2 how=$3 hexes=$4
shift 4

# The rows of the kernel's tables that have $1 in them. By grep where there is one: a table may have thousands
# of rows, and the shell reads them byte by byte.
rows() {
	for table in "/proc/net/$transport" "/proc/net/${transport}6"; do
		[ -r "$table" ] || continue
		grep "$1" "$table" 2>/dev/null
		[ $? -lt 2 ] || while IFS= read -r row; do printf '%s\n' "$row"; done <"$table"
	done
}

# The state of nc's own socket and where it leads: 02 is connecting, any other connected, empty means there
# is none. The program that lives here may well be connected to the same port: only the inode tells whose it is.
peer() {
	held
	case $transport in unix) own=$(at_socket) ;; *) own=$(at_port) ;; esac
}

at_port() {
	for hex in $hexes; do rows ":$hex 0"; done | while read -r _ _ there state _ _ _ _ _ inode _; do
		for hex in $hexes; do
			case $there in *":$hex") ;; *) continue ;; esac
			case $held in
			*" $inode "*) printf '%s %s' "$state" "${there%:*}" && exit ;;
			'') printf %s "$state" && exit ;;
			esac
		done
	done
}

# A client of a unix socket is a row without a path, so here there is nothing but the inode to go by.
at_socket() {
	for inode in $held; do rows " $inode\$"; done | while read -r _ _ _ _ _ state inode _; do
		case $held in *" $inode "*) ;; *) continue ;; esac
		case $state in 03) printf '03 socket' ;; *) printf '02 socket' ;; esac && exit
	done
}

# Says once where nc is connected to. Fails while it is not.
connected() {
	peer
	case $own in '' | 02*) return 1 ;; esac
	case $own in *' '*) say peer "${own#* }" ;; *) say peer unknown ;; esac
	told=yes
}

# Whether nc is asking for the name: it has a socket of datagrams then.
asks() {
	for table in /proc/net/udp /proc/net/udp6; do
		[ -r "$table" ] || continue
		while read -r _ _ _ _ _ _ _ _ _ inode _; do
			case $held in '' | *" $inode "*) return 0 ;; esac
		done <"$table"
	done
	return 1
}

# Whether it has been asking for so long, as far as was seen.
asked() {
	if asks; then since=${since:-$now}; else since=; fi
	[ -n "$since" ] && [ "$((now - since))" -ge "$1" ]
}

# Time is up: where did it stand?
stopped() {
	peer
	[ -n "$own" ] || asked "$((bound / 4))" || finish untold NotInTime
	finish bound "$own"
}

clock || finish lacks /proc
# A name that is not found takes ten seconds, and the rest of the time is for trying the address.
deadline=$((now + bound)) since= told=
watched
# What waits for the port becomes nc: one process to watch, and no time lost between the two.
case $how in
knock) (read -r port && exec "$@" ${port:+"$port"}) <&3 3<&- >/dev/null & ;;
*) (read -r port && exec "$@" ${port:+"$port"}) <&3 3<&- & ;;
esac
nc=$!
say up
while nap; kill -0 "$nc" 2>/dev/null; do
	if [ -z "$told" ] && connected && [ "$how" = knock ]; then
		finish open
	fi
	! over || stopped
	[ -n "$told$own" ] || ! asked "$((bound / 2))" || finish bound
done
wait "$nc" 2>/dev/null
code=$? nc=
finish exit "$code"

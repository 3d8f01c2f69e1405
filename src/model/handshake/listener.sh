# Provider side: nc listens on the first port that nobody else has, until it ends or its time is up.
# sh -c 'eval "$TIELINE"' tieline CENTISECONDS tcp|udp HEX 'PORT:HEX PORT:HEX …' NC ARGUMENT…   (the port comes last)
# HEX, where there is one, is a port of which it says besides whether somebody has it.
bound=$1 transport=$2 asked=$3 ports=$4
shift 4

# Whether a socket of udp takes what comes from others: it is neither the loopback's nor a client's.
reached() {
	case ${here#0000000000000000FFFF0000} in ??????7F:* | 00000000000000000000000001000000:*) return 1 ;; esac
	case $there in *:0000) ;; *) return 1 ;; esac
}

# The inodes of the sockets that listen on $hex. Listening sockets come first in the table of tcp.
look() {
	inodes=
	for table in "/proc/net/$transport" "/proc/net/${transport}6"; do
		[ -r "$table" ] || continue
		while read -r _ here there state _ _ _ _ _ inode _; do
			case $transport$state in *st) continue ;; tcp0A) ;; udp*) reached || continue ;; *) break ;; esac
			case $here in *":$hex") inodes="$inodes $inode" ;; esac
		done <"$table"
	done
}

# Whether every socket of $inodes is nc's. Where that cannot be read, the sockets are taken for nc's.
ours() {
	held
	[ -n "$held" ] || return 0
	for inode in $inodes; do
		case $held in *" $inode "*) ;; *) return 1 ;; esac
	done
}

# Starts nc on $port. Fails when nc ended or somebody else listens there too: obsd and trad share ports.
listen() {
	"$@" "$port" <&3 3<&- &
	nc=$!
	while :; do
		! over || finish bound
		look
		if [ -n "$inodes" ]; then
			ours && return 0
			end
			return 1
		fi
		nap
		kill -0 "$nc" 2>/dev/null || { wait "$nc" 2>/dev/null; code=$?; nc=; return 1; }
	done
}

clock || finish lacks /proc
deadline=$((now + bound)) code=busy
watched
if [ -n "$asked" ]; then
	hex=$asked
	look
	[ -z "$inodes" ] || say held
fi
for pair in $ports; do
	port=${pair%:*} hex=${pair#*:}
	look
	[ -z "$inodes" ] || continue
	if listen "$@"; then
		say ready "$port"
		while nap; kill -0 "$nc" 2>/dev/null; do
			! over || finish bound
		done
		wait "$nc" 2>/dev/null
		code=$? nc=
		finish exit "$code"
	fi
done
finish exit "$code"

# Provider side: nc listens on the first port that nobody else has, until it ends or its time is up.
# sh -c 'eval "$TIELINE"' tieline CENTISECONDS 'PORT:HEX PORT:HEX …' NC ARGUMENT…   (the port comes last)
bound=$1 ports=$2
shift 2

# The inodes of the sockets that listen on $hex. Listening sockets come first in the table.
look() {
	inodes=
	for table in /proc/net/tcp /proc/net/tcp6; do
		[ -r "$table" ] || continue
		while read -r _ here _ state _ _ _ _ _ inode _; do
			case $state in st) continue ;; 0A) ;; *) break ;; esac
			case $here in *":$hex") inodes="$inodes $inode" ;; esac
		done <"$table"
	done
}

# Whether every socket of $inodes is nc's. Where that cannot be read, the sockets are taken for nc's.
ours() {
	held=$(ls -l "/proc/$nc/fd" 2>/dev/null)
	[ -n "$held" ] || return 0
	for inode in $inodes; do
		case $held in *"socket:[$inode]"*) ;; *) return 1 ;; esac
	done
}

# Starts nc on $port. Fails when nc ended or somebody else listens there too: obsd and trad share ports.
listen() {
	"$@" "$port" <&3 3<&- &
	nc=$!
	while :; do
		clock
		[ "$now" -lt "$deadline" ] || stopped
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

stopped() { finish bound; }

clock || finish lacks /proc
deadline=$((now + bound)) code=busy
watched
for pair in $ports; do
	port=${pair%:*} hex=${pair#*:}
	look
	[ -z "$inodes" ] || continue
	if listen "$@"; then
		say ready "$port"
		while nap; kill -0 "$nc" 2>/dev/null; do
			clock
			[ "$now" -lt "$deadline" ] || stopped
		done
		wait "$nc" 2>/dev/null
		code=$? nc=
		finish exit "$code"
	fi
done
finish exit "$code"

# shellcheck shell=bash
# Functions of the demo, of deploy/image and of the tests: progress, packages, an engine, images. To be sourced.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOG=${TIELINE_SETUP_LOG:-$ROOT/target/setup.log}
mkdir -p "$(dirname "$LOG")"
: >"$LOG"
SECONDS=0
STEP="starting"
# What the demo's containers are made of. The demo's test sets another name, so that it sees the image
# made whatever the machine holds already.
export TIELINE_DEMO_IMAGE=${TIELINE_DEMO_IMAGE:-busybox:latest}
# Images that are made here carry it, so that the demo removes no other. Containers inherit it: it must
# not begin with the prefix of tieline's own labels.
MADE_HERE=tieline-setup.made-here

# A command that fails unforeseen is told with its step, like one that was foreseen.
unforeseen() { # COMMAND
	local code=$?
	[ "$BASH_SUBSHELL" -gt 0 ] || fail "\"$1\" ended with $code"
}
set -E
trap 'unforeseen "$BASH_COMMAND"' ERR

# step WORDS: says what is being done, and how many seconds have passed.
step() {
	STEP=$*
	printf '[%3ds] %s\n' "$SECONDS" "$*"
}

# fail WORDS: says what went wrong while doing what, and ends.
fail() {
	printf '\nfailed while %s: %s\n' "$STEP" "$*" >&2
	exit 1
}

# logged COMMAND…: runs it with its output in the log. Shows the log's last line now and then, and
# its end if the command fails. The command stays in the foreground, where Ctrl-C reaches it.
logged() {
	local ticker code=0
	tick &
	ticker=$!
	("$@") >>"$LOG" 2>&1 || code=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	[ "$code" != 0 ] || return 0
	tail -n 20 "$LOG" >&2
	fail "\"$*\" ended with $code (the whole log: $LOG)"
}

tick() {
	while sleep 10 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
		printf '[%3ds]   … %s\n' "$SECONDS" "$(tail -n 1 "$LOG" | tr -d '\r' | cut -c1-80)"
	done
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "this needs root: $*"
	fi
}

# packages NAME…: installs those of Debian's packages that are missing.
packages() {
	local missing=() name
	for name in "$@"; do
		dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || fail "install ${missing[*]} (there is no apt-get here)"
	step "installing ${missing[*]}"
	logged as_root apt-get update
	logged as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

need_cargo() {
	local wanted found
	wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
	command -v cargo >/dev/null ||
		fail "there is no cargo: install Rust $wanted or newer by rustup (https://rustup.rs), then run this again"
	found=$(rustc --version | cut -d' ' -f2)
	[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
		fail "Rust is $found and has to be $wanted or newer: rustup update"
}

# Whether an engine answers. One that is there and refuses us is no reason to start another.
engine_answers() {
	local answer
	answer=$(docker version 2>&1) && return
	case $answer in
	*"permission denied"*) fail "you may not use the engine's socket: run this as root, or join the group docker" ;;
	esac
	return 1
}

# engine: an engine that answers, installed and started where there is none.
engine() {
	# Newer Debians have the client in a package of its own.
	command -v docker >/dev/null || packages docker.io
	command -v docker >/dev/null || packages docker-cli
	engine_answers && return
	[ -z "${DOCKER_HOST:-}" ] || fail "no engine answers at DOCKER_HOST=$DOCKER_HOST"
	command -v dockerd >/dev/null || packages docker.io
	local log=/var/log/dockerd.log
	if [ -d /run/systemd/system ]; then
		log="journalctl -u docker"
		step "starting the engine"
		logged as_root systemctl start docker
	else
		step "starting the engine in the background; it stays (log: $log, process: /var/run/docker.pid)"
		as_root sh -c "setsid dockerd >$log 2>&1 </dev/null &"
	fi
	local tries=0
	until engine_answers; do
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || fail "the engine does not answer after 30 s, see $log"
		sleep 0.5
	done
}

# compose ARGUMENT…: whichever Compose is there. An engine at another socket has another file to mount, and
# perhaps another group.
compose() {
	case ${DOCKER_HOST:-} in
	unix://*) export DOCKER_SOCK=${DOCKER_SOCK:-${DOCKER_HOST#unix://}} ;;
	esac
	# Where the engine is elsewhere, the controller says which group it needs.
	export DOCKER_GID=${DOCKER_GID:-$(stat -Lc %g "${DOCKER_SOCK:-/var/run/docker.sock}" 2>/dev/null || echo 0)}
	if docker compose version >/dev/null 2>&1; then
		docker compose "$@"
	else
		docker-compose "$@"
	fi
}

need_compose() {
	docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || packages docker-compose
}

# rootfs_image NAME FOLDER: an image of a folder, marked as made here.
rootfs_image() {
	tar -C "$2" -c . |
		docker import -c 'ENV PATH=/bin:/usr/bin:/sbin:/usr/sbin' -c 'CMD ["sh"]' -c "LABEL $MADE_HERE=yes" - "$1" >>"$LOG"
}

# busybox_image: the demo's image, from Debian's static busybox where there is none yet.
busybox_image() {
	docker image inspect "$TIELINE_DEMO_IMAGE" >/dev/null 2>&1 && return
	packages busybox-static
	step "making the image $TIELINE_DEMO_IMAGE from Debian's busybox-static"
	local root applet
	root=$(mktemp -d)
	mkdir -p "$root"/{bin,tmp,etc,root}
	cp /bin/busybox "$root/bin/busybox"
	for applet in $("$root/bin/busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	rootfs_image "$TIELINE_DEMO_IMAGE" "$root"
	rm -rf "$root"
}

# static_binary: builds tieline without shared libraries; sets BINARY.
static_binary() {
	command -v cc >/dev/null || packages gcc libc6-dev
	local host
	host=$(rustc -vV | sed -n 's/^host: //p')
	step "building tieline (the first time takes some minutes)"
	TIELINE_REVISION=$(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null || echo unknown)
	export TIELINE_REVISION
	logged env RUSTFLAGS="-C target-feature=+crt-static" \
		cargo build --release --locked --bin tieline --target "$host" --manifest-path "$ROOT/Cargo.toml"
	BINARY=$(cargo metadata --format-version 1 --no-deps --manifest-path "$ROOT/Cargo.toml" |
		sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/$host/release/tieline
	[ -x "$BINARY" ] || fail "cargo made no $BINARY"
}

# tieline_image NAME: an image of the binary that static_binary built, marked as made here under this name.
tieline_image() {
	step "making the image $1"
	local context
	context=$(mktemp -d)
	cp "$BINARY" "$context/tieline"
	cp "$ROOT/deploy/Dockerfile" "$context/Dockerfile"
	# The classic builder: BuildKit is a package of its own, and one COPY needs none.
	logged env DOCKER_BUILDKIT=0 docker build --label "$MADE_HERE=$1" -t "$1" "$context"
	rm -rf "$context"
}

# made_here IMAGE MARK: whether the image is there and has this mark.
made_here() {
	[ "$(docker image inspect -f "{{index .Config.Labels \"$MADE_HERE\"}}" "$1" 2>/dev/null)" = "$2" ]
}

# remove_old_images NAME: what earlier builds of tieline_image NAME left without a name.
remove_old_images() {
	logged docker image prune -f --filter "label=$MADE_HERE=$1"
}

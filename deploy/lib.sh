# shellcheck shell=bash
# What the demo and the tests have in common: progress, packages, an engine, images. To be sourced.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOG=${TIELINE_SETUP_LOG:-$ROOT/target/setup.log}
mkdir -p "$(dirname "$LOG")"
: >"$LOG"
SECONDS=0
STEP="starting"

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
# its end if the command fails.
logged() {
	"$@" >>"$LOG" 2>&1 &
	local pid=$! next=$((SECONDS + 10))
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
		[ "$SECONDS" -lt "$next" ] && continue
		next=$((SECONDS + 10))
		printf '[%3ds]   … %s\n' "$SECONDS" "$(tail -n 1 "$LOG" | tr -d '\r' | cut -c1-80)"
	done
	if ! wait "$pid"; then
		tail -n 20 "$LOG" >&2
		fail "'$*' (the whole log: $LOG)"
	fi
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
	command -v cargo >/dev/null ||
		fail "there is no cargo: install Rust 1.88 or newer by rustup (https://rustup.rs), then run this again"
}

engine_answers() {
	docker info >/dev/null 2>&1
}

# engine: an engine that answers, installed and started where there is none.
engine() {
	command -v docker >/dev/null || packages docker.io
	engine_answers && return 0
	[ -n "${DOCKER_HOST:-}" ] && fail "no engine answers at DOCKER_HOST=$DOCKER_HOST"
	command -v dockerd >/dev/null || packages docker.io
	step "starting the engine"
	if [ -d /run/systemd/system ]; then
		logged as_root systemctl start docker
	else
		as_root sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &'
	fi
	local tries=0
	until engine_answers; do
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || fail "the engine does not answer: $(docker info 2>&1 | tail -n 1)"
		sleep 0.5
	done
}

compose() {
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
		docker import -c 'ENV PATH=/bin:/usr/bin:/sbin:/usr/sbin' -c 'CMD ["sh"]' -c 'LABEL tieline-setup.made-here=yes' - "$1" >>"$LOG"
}

# busybox_image: busybox:latest, from Debian's static busybox where there is none yet.
busybox_image() {
	docker image inspect busybox:latest >/dev/null 2>&1 && return 0
	packages busybox-static
	step "making the image busybox:latest from Debian's busybox-static"
	local root applet
	root=$(mktemp -d)
	mkdir -p "$root"/{bin,tmp,etc,root}
	cp /bin/busybox "$root/bin/busybox"
	for applet in $("$root/bin/busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	rootfs_image busybox:latest "$root"
	rm -rf "$root"
}

# static_binary: builds tieline without shared libraries; sets BINARY.
static_binary() {
	need_cargo
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

# tieline_image: tieline:latest, from the binary that static_binary built.
tieline_image() {
	step "making the image tieline:latest"
	local context
	context=$(mktemp -d)
	cp "$BINARY" "$context/tieline"
	cp "$ROOT/deploy/Dockerfile" "$context/Dockerfile"
	# The classic builder: BuildKit is a package of its own, and one COPY needs none.
	logged env DOCKER_BUILDKIT=0 docker build -t tieline:latest "$context"
	rm -rf "$context"
}

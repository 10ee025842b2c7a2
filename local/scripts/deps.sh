#!/usr/bin/env bash
# Installs what is missing, where it may do so without asking; else it says what to install. Everything needs PostgreSQL's server programs.
# Usage: deps.sh [curl] [gcc]    also the README's curl, also the C compiler that Go's race detector needs
set -euo pipefail
cd "$(dirname "$0")/../.."

oldest_postgres=15
drop_in=/etc/postgresql-common/createcluster.d/cloud-run-orchestrator.conf

fail() {
	echo "error: $1" >&2
	shift
	for line in "$@"; do echo "       $line" >&2; done
	exit 1
}

# has_postgres: server programs are where the orchestrator looks for them, in a version that it can use.
has_postgres() {
	local dir version
	for dir in "$(dirname "$(command -v postgres || echo /nowhere/)")" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
		/opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin /Applications/Postgres.app/Contents/Versions/*/bin; do
		[ -x "$dir/initdb" ] || continue
		version=$("$dir/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
		[ "${version:-0}" -lt "$oldest_postgres" ] || return 0
	done
	return 1
}

check_go() {
	command -v go >/dev/null || fail "Go is missing; install it from https://go.dev/dl/ (the version in go.mod or newer)"
	go list -m >/dev/null || fail "this Go cannot build the module; install a newer one from https://go.dev/dl/"
}

# as_root runs a command as root without asking.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

apt_install() {
	echo "installing $*" >&2
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" </dev/null >/dev/null ||
		fail "apt-get could not install $*"
}

apt_update() {
	as_root apt-get -qq -o DPkg::Lock::Timeout=300 update </dev/null >/dev/null || fail "apt-get update failed"
}

# apt_postgres installs the programs without the cluster that the package would make and start: it would take port 5432, and nothing here uses it.
apt_postgres() {
	local offered
	offered=$(apt-cache policy postgresql | sed -n 's/^ *Candidate: \([0-9]*\).*/\1/p')
	[ "${offered:-0}" -ge "$oldest_postgres" ] ||
		fail "PostgreSQL $oldest_postgres or newer is needed, and this system's packages have ${offered:-none}; install a newer one:" \
			"sudo apt-get install -y postgresql-common && sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && sudo apt-get install -y postgresql-17"
	trap 'as_root rm -f "$drop_in"' EXIT
	as_root mkdir -p "$(dirname "$drop_in")"
	echo "create_main_cluster = false" | as_root tee "$drop_in" >/dev/null
	apt_install postgresql
}

install_missing() {
	if command -v apt-get >/dev/null; then
		may_be_root || fail "missing: $*; install with: sudo apt-get install -y ${*/gcc/gcc libc6-dev}"
		apt_update
		for need in "$@"; do
			case $need in
			postgresql) apt_postgres ;;
			gcc) apt_install gcc libc6-dev ;;
			curl) apt_install curl ;;
			esac
		done
	elif command -v brew >/dev/null; then
		for need in "$@"; do
			case $need in
			postgresql) brew install --quiet postgresql@17 </dev/null ;;
			*) fail "$need is missing; install it with: xcode-select --install" ;;
			esac
		done
	else
		fail "missing: $*; install it with this system's package manager (PostgreSQL $oldest_postgres or newer with its server programs)"
	fi
}

check_go
missing=()
has_postgres || missing+=(postgresql)
for program in "$@"; do
	command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} = 0 ] || install_missing "${missing[@]}"
has_postgres || fail "PostgreSQL's server programs are still not found after the installation; looked in PATH and where packages put them"

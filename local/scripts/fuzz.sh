#!/usr/bin/env bash
# Runs every fuzz target of the module in turn, each for FUZZTIME (10s where it is not set). What a target finds is kept in its testdata/fuzz, and fails every test from then on.
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=$(grep -rlE '^func Fuzz' --include='*_test.go' functions internal local migrations | xargs -n 1 dirname | sort -u | sed 's|^|./|')
# shellcheck disable=SC2086 # one word a package
targets=$(go test -list '^Fuzz' $packages | awk '$1 ~ /^Fuzz/ { names[++n] = $1 } $1 == "ok" { for (i = 1; i <= n; i++) print names[i], $2; n = 0 }')
[ -n "$targets" ] || { echo "error: there is no fuzz target" >&2; exit 1; }

while read -r name package <&3; do
	printf '=== %s of %s\n' "$name" "$package"
	go test -vet=off -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 1s "$package" </dev/null
done 3<<<"$targets"

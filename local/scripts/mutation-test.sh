#!/usr/bin/env bash
# Breaks a copy of the code on purpose, in one way after the other, and demands that a test notices each.
#
# A change is a patch in internal/mutations. What stands above the diff says what it breaks, and which tests are meant for it:
#
#   what: RunJob is called again when its answer is UNAVAILABLE
#   test: ./internal/engine TestALostAnswer|TestTicksAtOnce
set -euo pipefail
cd "$(dirname "$0")/../.."

root=$PWD
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
	[ -e "$file" ] && printf '%s\0' "$file"
done | tar -c --null -T - -f - | tar -x -f - -C "$copy"

field() { sed -n "s/^$1: //p" "$2" | head -1; }

# try runs the tests of a patch in the copy, with their output in a file.
try() {
	local package tests
	read -r package tests <<<"$(field test "$1")"
	(cd "$copy" && go test -count=1 -timeout 10m "$package" -run "$tests") >"$copy/output" 2>&1
}

missed=0
for patch in internal/mutations/*.patch; do
	name=$(basename "$patch" .patch)
	(cd "$copy" && git apply "$root/$patch")
	began=$SECONDS
	if try "$patch"; then
		verdict=MISSED
	elif grep -q -E '^ *--- FAIL|^panic: ' "$copy/output"; then
		verdict=caught
	else
		verdict="NOT RUN"
	fi
	printf '%-8s %-30s %3d s  %s\n' "$verdict" "$name" $((SECONDS - began)) "$(field what "$patch")"
	if [ "$verdict" != caught ]; then
		missed=$((missed + 1))
		tail -20 "$copy/output" | sed 's/^/         /'
	else
		grep -m 1 -E '^ *--- FAIL' "$copy/output" | sed 's/^ *--- FAIL: /         by /'
	fi
	(cd "$copy" && git apply -R "$root/$patch")
done
[ "$missed" = 0 ] || { echo "$missed changes were not caught"; exit 1; }

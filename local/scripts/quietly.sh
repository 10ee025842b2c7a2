#!/usr/bin/env bash
# Runs a command without its words, which are shown only where it fails.
# Usage: quietly.sh LABEL COMMAND...
set -euo pipefail

label=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
printf '%s … ' "$label"
if "$@" >"$log" 2>&1 </dev/null; then
	echo "ok   ($SECONDS s)"
	exit
fi
echo "failed"
cat "$log" >&2
exit 1

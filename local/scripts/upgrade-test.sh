#!/usr/bin/env bash
# Runs the tests of the previous release on the schema of this one: while a new image is rolled out, and after it is rolled back, the old programs
# work on the new schema. PREVIOUS names the release (a tag, or any commit); by default it is the newest tag of this history but for this commit's own.
# Before the first release there is none: this commit stands in for it, which shows that the way works, and nothing more.
set -euo pipefail
cd "$(dirname "$0")/../.."

previous=${PREVIOUS:-$(git describe --tags --abbrev=0 --match 'v*' HEAD^ 2>/dev/null || true)}
if [ -z "$previous" ]; then
	previous=HEAD
	echo "there is no earlier release; this commit is compared with itself"
fi
git rev-parse --quiet --verify "$previous^{commit}" >/dev/null || {
	echo "error: PREVIOUS is \"$previous\"; it must be a tag or a commit of this repository" >&2
	exit 1
}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git archive "$previous" | tar -x -f - -C "$copy"
newest() { find "$1/migrations" -name '*.up.sql' -exec basename {} \; | sort | tail -1; }
printf 'tests of %s, which knows %s, on %s\n' "$previous" "$(newest "$copy")" "$(newest .)"
export TESTDB_MIGRATIONS=$PWD/migrations
cd "$copy"
go test -count=1 ./functions ./internal/engine ./internal/store

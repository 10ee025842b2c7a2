#!/usr/bin/env bash
# Builds the orchestrator command for each platform (OS/ARCHITECTURE) into dist/, an archive each, and their checksums.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${VERSION:?}" "${LDFLAGS:?}"
for platform in "$@"; do
	go tool dist list | grep -q -x "$platform" || {
		echo "error: PLATFORMS has \"$platform\"; it must be pairs that Go builds for, as in linux/amd64 (go tool dist list)" >&2
		exit 1
	}
done
rm -rf dist
mkdir dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for platform in "$@"; do
	name=orchestrator_${VERSION}_${platform%/*}_${platform#*/}
	mkdir "$work/$name"
	GOOS=${platform%/*} GOARCH=${platform#*/} CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $LDFLAGS" -o "$work/$name/orchestrator" ./local/orchestrator
	cp LICENSE "$work/$name/"
	tar -C "$work" -czf "dist/$name.tar.gz" "$name"
	echo "dist/$name.tar.gz"
done
cd dist
if command -v sha256sum >/dev/null; then sha256sum -- *.tar.gz >SHA256SUMS; else shasum -a 256 -- *.tar.gz >SHA256SUMS; fi
echo dist/SHA256SUMS

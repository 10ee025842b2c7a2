#!/usr/bin/env bash
# Runs Compose, whichever this machine has: the plugin of docker, or docker-compose.
set -euo pipefail

if docker compose version >/dev/null 2>&1; then
	exec docker compose "$@"
elif command -v docker-compose >/dev/null; then
	exec docker-compose "$@"
fi
echo "error: neither \"docker compose\" nor docker-compose is here; install Docker with Compose: https://docs.docker.com/compose/install/" >&2
exit 1

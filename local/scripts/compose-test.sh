#!/usr/bin/env bash
# Tries the containers as a user would, in a Compose project of its own on free ports: the quick start in mock mode, a run of real
# processes in the emulator's container, live settings, and what the image promises. Whatever happens, nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
export COMPOSE_PROJECT_NAME="orchestrator-test-$$"
export POSTGRES_PORT=0 FUNCTIONS_PORT=0 EMULATOR_PORT=0 # 0: docker chooses
export GOOGLE_APPLICATION_CREDENTIALS='' CLOUD_RUN_EMULATOR_HOST='' ORCHESTRATOR_UID='' ORCHESTRATOR_PROJECT='' ORCHESTRATOR_REGION='' LOG_LEVEL=''
export EMULATOR_LIMITS=off # 200 tasks are 200 calls, and Cloud Run allows 180 a minute: more than a minute of waiting for each run
began=$SECONDS

compose() { local/scripts/compose.sh --profile emulator "$@" </dev/null; }
plain_compose() { local/scripts/compose.sh "$@" </dev/null; }
cli() { plain_compose exec -T orchestrator /app/orchestrator "$@"; }
container() { compose ps -q "$1" | head -n 1; }

step() { printf '%3d s  %s\n' "$((SECONDS - began))" "$*"; }

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

clean_up() {
	local code=$?
	trap - EXIT
	if [ "$code" != 0 ]; then
		echo "--- what the containers said:" >&2
		compose ps >&2 || true
		compose logs --no-color --tail 60 >&2 || true
	fi
	docker ps --all --quiet --filter "label=$COMPOSE_PROJECT_NAME" | xargs -r docker rm --force >/dev/null 2>&1 || true
	compose down --volumes --remove-orphans --timeout 3 >"$work/down" 2>&1 || { cat "$work/down" >&2; code=1; }
	rm -rf "$work"
	exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# quietly runs a command and shows what it said only where it fails.
quietly() { "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "$*"; }; }

# contains TEXT PART: PART is in TEXT.
contains() { [[ $1 == *"$2"* ]] || fail "expected \"$2\" in: $1"; }

# equal GOT WANT WHAT
equal() { [ "$1" = "$2" ] || fail "$3 is \"$1\", expected \"$2\""; }

# field NAME: the first value of that name in the JSON on stdin, which has one name to a line.
field() { sed -n "/^ *\"$1\": /{s/^[^:]*: \"\{0,1\}\([^\",]*\).*/\1/p;q}"; }

# count PART: how many lines on stdin have it.
count() { grep -c -- "$1" || true; }

# within SECONDS COMMAND...: repeats a command until it succeeds.
within() {
	local limit=$((SECONDS + $1))
	shift
	until "$@" 2>"$work/err"; do
		if [ "$SECONDS" -ge "$limit" ]; then
			cat "$work/err" >&2
			fail "in vain: $*"
		fi
		sleep 0.2
	done
}

status_is() { [ "$(cli status "$1" -o json | field status)" = "$2" ]; }
has_successes() { [ "$(cli status "$1" -o json | field success)" -ge "$2" ]; }
ended() { [ "$(docker inspect -f '{{.State.Status}}' "$1")" = exited ]; }

# get ADDRESS PATH [HOST]: the whole answer of a published port.
get() {
	exec 3<>"/dev/tcp/127.0.0.1/${1##*:}" || return 1
	printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" "${3:-localhost}" >&3
	cat <&3
	exec 3>&-
}

# get_status HOST: the first line that the functions answer on their published port.
get_status() { get "$(compose port functions 8080)" /status "$1" | head -n 1; }

quick_start() {
	local job id run tasks
	job="job-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')" # in no file
	step "quick start, with job $job"
	quietly plain_compose up -d
	contains "$(cli init)" "mode      mock"
	contains "$(cli init)" "nothing to do"
	contains "$(cli create-workflow --name example-workflow --description "Example workflow" \
		--job-name "$job" --project my-gcp-project --region us-central1 --task-count 5)" "created example-workflow"
	contains "$(cli list-workflows)" "$job"
	contains "$(cli trigger example-workflow)" "example-workflow.1"
	within 60 status_is example-workflow.1 success

	run=$(cli status example-workflow.1 -o json)
	id=$(field id <<<"$run")
	equal "$(field mode <<<"$run")" mock "the run's mode"
	equal "$(field success <<<"$run")" 5 "the number of successful tasks"
	contains "$(cli status)" "example-workflow.1"
	contains "$(cli status)" mock
	contains "$(cli status "$id")" "(mock)"
	contains "$(cli status --workflow example-workflow)" success
	tasks=$(cli tasks "$id" -o json)
	equal "$(count '"status": "success"' <<<"$tasks")" 5 "the number of successful tasks in the list"
	equal "$(grep -o '"cloud_run_execution_name": ".*/mock-[^"]*"' <<<"$tasks" | sort -u | wc -l | tr -d ' ')" 5 "the number of mock executions"
	contains "$(cli tasks "$id")" mock-
}

# versions: every program of the image says the release and the commit that the image was built from.
versions() {
	local program said
	step "versions"
	said=${VERSION:-$(git describe --tags --always --dirty)}
	for program in server migrate orchestrator; do
		contains "$(plain_compose run -T --rm --no-deps --entrypoint "/app/$program" functions --version 2>&1)" "$program $said"
	done
}

# bad_input: the commands answer with their exit codes through the containers, too.
bad_input() {
	local said code=0
	step "bad input"
	said=$(cli trigger no-such-workflow 2>&1) || code=$?
	equal "$code" 3 "the exit code for an unknown workflow"
	contains "$said" no-such-workflow
	code=0
	said=$(plain_compose run -T --rm --no-deps -e FUNCTION_TARGET=no-such-function functions 2>&1) || code=$?
	[ "$code" != 0 ] || fail "a wrong FUNCTION_TARGET was accepted: $said"
	contains "$said" 'FUNCTION_TARGET is "no-such-function"; it must be workflows, trigger, status or tick'
}

published_port() {
	step "the published port"
	contains "$(get_status localhost)" "HTTP/1.1 200"
	contains "$(get_status elsewhere.example.com)" "HTTP/1.1 421"
}

# healthy ADDRESS FUNCTION: the container answers its probe, and serves that function.
healthy() { [[ $(get "$1" /health) == *"HTTP/1.1 200"*"\"function\":\"$2\""* ]]; }

# one_container FUNCTION: the image as Cloud Run runs it, with one function, or with all where that is empty.
one_container() {
	local id address start code=0
	id=$(docker run --detach --network "${COMPOSE_PROJECT_NAME}_default" --label "$COMPOSE_PROJECT_NAME" --publish 127.0.0.1:0:8080 \
		--read-only --cap-drop ALL --security-opt no-new-privileges --memory 512m --env "FUNCTION_TARGET=$1" --env ORCHESTRATOR_LISTEN=0.0.0.0:8080 \
		--env "DATABASE_URL=postgres://postgres:postgres@postgres:5432/?sslmode=disable" "$ORCHESTRATOR_IMAGE")
	within 20 docker port "$id" 8080 >"$work/out"
	address=$(head -n 1 "$work/out")
	within 20 healthy "$address" "${1:-all}"
	equal "$(docker top "$id" | awk 'NR == 2 { print $1 }')" 65532 "the user of ${1:-all functions}"
	start=$SECONDS
	docker stop --time 10 "$id" >/dev/null
	[ $((SECONDS - start)) -lt 10 ] || fail "${1:-all functions} took $((SECONDS - start)) s to end"
	equal "$(docker inspect -f '{{.State.ExitCode}}' "$id")" 0 "the exit code of ${1:-all functions}"
}

each_function() {
	local function
	step "a container for each function, and one for all"
	for function in "" workflows trigger status tick; do one_container "$function"; done
	step "no shell"
	if docker run --rm --label "$COMPOSE_PROJECT_NAME" --entrypoint /bin/sh "$ORCHESTRATOR_IMAGE" -c true >"$work/out" 2>&1; then fail "the image has a shell"; fi
}

hardening() {
	local service id
	step "no root, nothing to write to"
	for service in "$@"; do
		id=$(container "$service")
		equal "$(docker top "$id" | awk 'NR == 2 { print $1 }')" 65532 "the user of $service"
		if docker cp Makefile "$id:/app/Makefile" >"$work/out" 2>&1; then fail "$service has a root file system that can be written to"; fi
		contains "$(tr '[:upper:]' '[:lower:]' <"$work/out")" read-only
	done
}

restarts() {
	step "a restart of everything"
	quietly plain_compose restart --timeout 3 postgres functions orchestrator
	within 60 status_is example-workflow.1 success
	contains "$(cli trigger example-workflow --wait --timeout 1m)" "example-workflow.2  success"
}

emulated() {
	local run
	step "200 real processes in the emulator"
	export CLOUD_RUN_EMULATOR_HOST=emulator:8085
	quietly compose up -d
	contains "$(cli apply -f /app/examples/primes.yaml)" "created primes"
	contains "$(cli trigger primes --wait --timeout 3m)" "primes.1  success"
	run=$(cli status primes.1 -o json)
	equal "$(field mode <<<"$run")" emulator "the run's mode"
	equal "$(field success <<<"$run")" 200 "the number of successful tasks"
	contains "$(cli tasks primes.1)" primes-
	hardening emulator
}

# drained SERVICE: SIGTERM ends it well, in less than the 10 s that Cloud Run gives.
drained() {
	local id start=$SECONDS
	id=$(container "$1")
	docker kill --signal TERM "$id" >/dev/null
	within 10 ended "$id"
	equal "$(docker inspect -f '{{.State.ExitCode}}' "$id")" 0 "the exit code of $1"
	step "$1 drained in about $((SECONDS - start)) s"
}

# long_primes is a workflow that takes a while: 200 tasks with fifty million numbers each.
long_primes() {
	printf 'name: long-primes\njob: {name: primes}\ntasks: {count: 200}\nenv: {LIMIT: "10000000000"}\n' |
		local/scripts/compose.sh exec -T orchestrator /app/orchestrator apply -f -
}

stop_in_the_middle() {
	step "the functions end in the middle of a run"
	contains "$(long_primes)" "created long-primes"
	contains "$(cli trigger long-primes)" long-primes.1
	within 60 has_successes long-primes.1 1
	status_is long-primes.1 running || fail "the run was over before the functions could be ended"
	drained functions
	quietly compose up -d
	within 120 status_is long-primes.1 success
	equal "$(cli status long-primes.1 -o json | field success)" 200 "the number of successful tasks"
	drained orchestrator
	drained emulator
}

# live needs no account: nothing is triggered. The key is readable for its owner only.
live() {
	step "a key file means live"
	printf '{"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}' >"$work/key.json"
	chmod 600 "$work/key.json"
	export CLOUD_RUN_EMULATOR_HOST='' GOOGLE_APPLICATION_CREDENTIALS="$work/key.json"
	ORCHESTRATOR_UID=$(id -u)
	quietly plain_compose up -d
	contains "$(cli config | grep ORCHESTRATOR_MODE)" live
	contains "$(cli init)" "mode      live"
	contains "$(cli status)" "no runs yet"
}

quick_start
versions
bad_input
published_port
hardening functions orchestrator
each_function
restarts
quietly compose down --volumes --timeout 5
emulated
stop_in_the_middle
live
step "all is well"

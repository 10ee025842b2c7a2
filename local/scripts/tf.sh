#!/usr/bin/env bash
# Everything about terraform/ that can be tried without an account: format, validation, its tests, and a look at two plans as a whole. It works on a copy, so
# that nothing is left in the checkout, and nothing of it (a lock file, a state, somebody's variables) is used.
# Usage: [TERRAFORM=terraform] [SCHEMA=FILE] tf.sh
#   TERRAFORM  the command to use; another one may know where providers are found without a network
#   SCHEMA     the provider's schema with its deprecations, where the provider at hand does not tell them
set -euo pipefail
cd "$(dirname "$0")/../.."

terraform=${TERRAFORM:-terraform}
command -v "$terraform" >/dev/null || {
	echo "error: $terraform is missing; install Terraform 1.9 or newer from https://developer.hashicorp.com/terraform/install, or set TERRAFORM to its command" >&2
	exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TF_DATA_DIR=$work/data TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1
tar -cf - --exclude '.terraform*' --exclude '*.tfstate*' --exclude '*.tfvars' terraform docs/alerts | tar -xf - -C "$work"

tf() { "$terraform" -chdir="$work/terraform" "$@" </dev/null; }

# step NAME COMMAND...: its words are shown where it fails.
step() {
	local name=$1 start=$SECONDS
	shift
	"$@" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		echo "error: $name failed" >&2
		exit 1
	}
	printf '%-10s ok   %3d s\n' "$name" "$((SECONDS - start))"
}

# plan NAME VARIABLES...: makes $work/NAME.json. It asks for the project's number, so with a real provider it needs credentials.
plan() {
	local name=$1
	shift
	if tf plan -no-color -refresh=false -out "$work/$name.plan" "$@" >"$work/log" 2>&1; then
		tf show -json "$work/$name.plan" >"$work/$name.json" 2>>"$work/log"
	elif [ -z "${SCHEMA:-}" ] && grep -q -i -E 'credentials' "$work/log"; then
		echo "plan       NOT RUN: it needs Google credentials (gcloud auth application-default login), which Terraform did not find" >&2
		return 1
	else
		cat "$work/log" >&2
		echo "error: plan $name failed" >&2
		exit 1
	fi
}

step fmt tf fmt -check -diff -recursive
step init tf init -backend=false -no-color
step validate tf validate -no-color
step test tf test -no-color
grep -E '^Success' "$work/log"

three=(-var project=my-project -var region=europe-west1 -var image=europe-west1-docker.pkg.dev/my-project/orchestrator/server:v1)
everything=(-var private_ip=true -var dashboard_iap=true -var database_max_connections=200 -var playbooks_url=https://example.com/alerts
	-var 'jobs=["nightly","projects/other-project/locations/us-central1/jobs/report"]' -var 'job_service_accounts=["nightly@my-project.iam.gserviceaccount.com"]'
	-var 'definers=["user:a@example.com"]' -var 'operators=["user:a@example.com"]' -var 'readers=["user:a@example.com"]' -var 'triggerers=["user:a@example.com"]'
	-var 'notification_channels=["projects/my-project/notificationChannels/1"]')
plan defaults "${three[@]}" || exit 0
plan everything "${three[@]}" "${everything[@]}"

schema=${SCHEMA:-}
if [ -z "$schema" ] && tf providers schema -json >"$work/schema.json" 2>"$work/log"; then schema=$work/schema.json; fi
for name in defaults everything; do
	printf '%-10s ' "$name"
	go run ./local/plancheck -plan "$work/$name.json" ${schema:+-schema "$schema"}
done

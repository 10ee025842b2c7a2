SHELL := bash
.DEFAULT_GOAL := help

# Asked once: the checkout may change while something runs.
VERSION := $(or $(VERSION),$(shell git describe --tags --always --dirty 2>/dev/null))
COMMIT := $(or $(COMMIT),$(shell git rev-parse HEAD 2>/dev/null))
ORCHESTRATOR_IMAGE ?= cloud-run-orchestrator:local
# What is above is enough: Go's own stamp fails in a checkout that belongs to somebody else.
GOFLAGS ?= -buildvcs=false
export VERSION COMMIT ORCHESTRATOR_IMAGE GOFLAGS

RELEASE := cloud-run-orchestrator/internal/release
LDFLAGS := -X $(RELEASE).version=$(VERSION) -X $(RELEASE).commit=$(COMMIT)
PLATFORMS ?= darwin/amd64 darwin/arm64 linux/amd64 linux/arm64
PROGRAMS := ./functions/server ./local/examples/primes ./local/orchestrator ./migrations/migrate
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
COMPOSE := local/scripts/compose.sh
DURATION ?= 2m
SEED ?= 1

.PHONY: help deps build demo run test test-race crash-test upgrade-test mutation-test chaos fuzz bench lint fmt tf image dist up down compose-test

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what any target below misses: PostgreSQL, curl, gcc (apt-get, brew); Go is only checked
	@local/scripts/deps.sh curl gcc

build: ## build the programs into bin/
	go build -ldflags "$(LDFLAGS)" -o bin/ $(PROGRAMS)

demo: ## count the primes below 1,000,000,000 with 200 real processes, and check the sum
	@local/scripts/deps.sh
	@local/scripts/quietly.sh building $(MAKE) --no-print-directory build
	@./bin/orchestrator demo

run: build ## run the whole orchestrator on http://localhost:8080
	@./bin/orchestrator run

test: ## run every test on PostgreSQL servers of its own
	@local/scripts/deps.sh curl
	go test -shuffle=on -count=1 ./...

test-race: ## the same under the race detector, but for tests of sources and of other processes
	@local/scripts/deps.sh curl gcc
	go test -race -vet=off -shuffle=on -count=1 $$(go list ./... | grep -v -E '/internal(/e2e)?$$')

crash-test: ## kill a real process at every commit and call; PAIRS=sample adds 3 minutes of pairs, PAIRS=all all of them, resumable
	@local/scripts/deps.sh
	@mkdir -p bin
	set -o pipefail; go test ./internal/e2e -run TestADeathAnywhere -count=1 -v -timeout 6h -parallel 4 -crash.points 0 \
	  -crash.pairs "$(if $(filter sample,$(PAIRS)),3m,$(PAIRS))" $(if $(filter all,$(PAIRS)),-crash.done $(CURDIR)/bin/pairs-that-held-$(VERSION)) \
	  | grep --line-buffered -v -E '^ *(=== |--- PASS: [^ ]*/)'

upgrade-test: ## run the tests of the previous release (PREVIOUS) on the schema of this one
	@local/scripts/deps.sh
	@local/scripts/upgrade-test.sh

mutation-test: ## break a copy of the code in ways that matter, and see a test notice each
	@local/scripts/deps.sh
	@local/scripts/mutation-test.sh

chaos: ## disturb everything for DURATION (2m), chosen by SEED (1), and print what became of it as JSON
	@local/scripts/deps.sh
	@mkdir -p bin && rm -f bin/chaos.json
	@go test ./internal/e2e -run '^TestChaos$$' -count=1 -v -timeout 6h -chaos.duration $(DURATION) -chaos.seed $(SEED) \
	  -chaos.report $(CURDIR)/bin/chaos.json > bin/chaos.log 2>&1 || { cat bin/chaos.log; exit 1; }
	@cat bin/chaos.json

fuzz: ## try every parser and decoder with made-up input, each for FUZZTIME (10s)
	@local/scripts/deps.sh
	@local/scripts/fuzz.sh

bench: ## measure a run of 10,000 separate tasks (the emulator's limits off) and an idle tick, on a durable PostgreSQL
	@local/scripts/deps.sh
	TESTDB_DURABLE=1 go test -run '^$$' -bench . ./internal/engine

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l functions internal local migrations); \
	  if [ -n "$$unformatted" ]; then printf 'run "make fmt" for:\n%s\n' "$$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

fmt: ## format the code
	gofmt -w functions internal local migrations

tf: ## check terraform/ without an account: format, validation, tests, two plans; TERRAFORM=COMMAND is the terraform to use
	@local/scripts/tf.sh

dist: ## build the orchestrator command for PLATFORMS (Linux and macOS) into dist/, with checksums
	@LDFLAGS="$(LDFLAGS)" local/scripts/dist.sh $(PLATFORMS)

image: ## build the container image
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --tag $(ORCHESTRATOR_IMAGE) .

up: image ## start everything in containers, in mock mode unless the environment says otherwise
	$(COMPOSE) up -d

down: ## stop the containers; their data is kept
	$(COMPOSE) --profile emulator down

compose-test: image ## try the containers from the outside: quick start, emulator, live settings
	@local/scripts/compose-test.sh

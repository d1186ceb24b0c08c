# Kanvas. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO ?= go
DATA ?= data
LISTEN ?= 127.0.0.1:1999
# How long the searches go on: short here and in CI, long by hand (make sim SIM_SEEDS=2000).
SIM_SEEDS ?= 4
CRASH_ROUNDS ?= 3
FUZZTIME ?= 5s
export SIM_SEEDS CRASH_ROUNDS
# The WebP encoder inside the program, not one that the system may have: static, and the same everywhere.
export GOFLAGS := $(GOFLAGS) -tags=nodynamic

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

.PHONY: run
run: ## serve on defaults (needs Go alone); prints the address of the page
	$(GO) run . serve --data $(DATA) --listen $(LISTEN)

.PHONY: build
build: bin/kanvas ## bin/kanvas
.PHONY: bin/kanvas
bin/kanvas:
	CGO_ENABLED=0 $(GO) build -o $@ .

.PHONY: test
test: deps check edge race web-test browser fuzz ## everything; installs what it needs and says so

.PHONY: check
check: ## formatting, vet, staticcheck, workflows
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not formatted:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@test -x bin/tools/actionlint || { echo 'actionlint is missing: run make deps'; exit 1; }
	bin/tools/actionlint

.PHONY: race
race: ## Go tests with the race detector
	$(GO) test -race -timeout 20m ./...

.PHONY: test-cloudflare
test-cloudflare: deps ## the end-to-end tests with D1 and KV on workerd and R2 on an S3 server; all browser tests through the Worker
	KANVAS_TEST_CLOUDFLARE=1 $(GO) test -timeout 40m -count=1 -v .

.PHONY: sim
sim: ## seeded simulation alone: SIM_SEED=n for one seed, SIM_SEEDS=n for many
	$(GO) test -race -timeout 6h -count=1 -run 'Sim' -v ./api/...

.PHONY: crash
crash: bin/kanvas ## kill -9 loop alone: CRASH_ROUNDS=n
	$(GO) test -timeout 6h -count=1 -run 'Crash|Killed' -v . ./api ./infra/...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each
	@.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: bin/kanvas ## what it must reach, as ratios against a floor measured in the same run
	bin/kanvas bench

.PHONY: edge
edge: ## type check the Worker (infra/edge)
	cd infra/edge && npm run --silent check

.PHONY: web
web: ## build the page into api/web/dist (needs Node 20)
	cd api/web && npm ci --no-audit --no-fund && npm run check && npm run build

.PHONY: web-test
web-test: ## the page's unit tests and type check
	cd api/web && npm run check && npm test

.PHONY: browser
browser: bin/kanvas ## the page in a real Chromium
	cd api/web && KANVAS_BIN=$(CURDIR)/bin/kanvas npm run test:browser

.PHONY: deps
deps: ## installs npm packages by lock file, tools into bin/tools and, where missing, Debian packages by apt
	@.ci/deps

.PHONY: clean
clean: ## remove built binaries
	rm -rf bin

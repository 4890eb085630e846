# The one front door: people and CI call the same targets. `make help` lists them.
#
# What is built goes to a cache outside of the clone, so that a fresh clone on the same machine builds little:
#   SILVERBACK_CACHE   default ~/.cache/silverback: programs of the test bed, tools, images, and
#   CARGO_TARGET_DIR   default $(SILVERBACK_CACHE)/target
#   CLUSTER_DIR        default $(SILVERBACK_CACHE)/cluster: the cluster of `make cluster-up`
#   NODES              default 2
#   PROFILE            default optimized: the binaries in the images (dev: sooner built; release: what users get)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export SILVERBACK_CACHE ?= $(HOME)/.cache/silverback
export CARGO_TARGET_DIR ?= $(SILVERBACK_CACHE)/target
export CLUSTER_DIR ?= $(SILVERBACK_CACHE)/cluster
export NODES ?= 2
# What prerequisites.sh may have put there, and what root by `su` does not have on Debian. Rust and Go of the machine come first.
export PATH := $(PATH):/usr/sbin:/sbin:/usr/local/go/bin:$(HOME)/.cargo/bin:$(SILVERBACK_CACHE)/tools/bin

SCRIPTS := e2e/scripts
# Who only asks what there is to be made builds nothing.
ifneq ($(filter-out help,$(MAKECMDGOALS)),)
$(shell CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)" $(SCRIPTS)/target.sh)
endif
# In the order in which `make test` goes through them.
PARTS := prerequisites format deny build lint pure unit integration chart e2e

.PHONY: help
help: ## this list
	@echo "targets (make TARGET):"
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

# ---- everything

.PHONY: test test-long
test: ## everything that must be green, in order, each part with its time and budget
	@$(SCRIPTS)/parts.sh $(PARTS)

test-long: ## `test`, and what takes longer: leaders that go in every way, the reference of the code, the dashboard in a browser, benchmarks, advisories
	@$(SCRIPTS)/parts.sh $(PARTS) e2e-long docs browser bench bench-fleet audit

# ---- parts

.PHONY: prerequisites format deny audit build lint pure unit integration chart browser bench bench-fleet e2e e2e-long e2e-upgrade chaos conformance docs
prerequisites: ## installs what is missing on a Debian 12 as root; names it elsewhere
	@$(SCRIPTS)/prerequisites.sh

format: ## rustfmt and gofmt
	cargo fmt --all --check
	@test -z "$$(gofmt -l e2e/cluster e2e/conformance e2e/bare-client)" || { echo "not as gofmt wants it:"; gofmt -l e2e/cluster e2e/conformance e2e/bare-client; exit 1; }

deny: ## licences, bans, sources and duplicates by deny.toml
	$$($(SCRIPTS)/cargo-deny.sh) --workspace --all-features --locked check licenses bans sources

audit: ## security advisories by deny.toml (needs the advisory database)
	@$(SCRIPTS)/audit.sh

build: ## the binaries for the cluster, all tests, the programs of the cluster
	$(SCRIPTS)/cluster-build.sh
	cargo build --locked --profile optimized --workspace --bin silverback --bin silverback-proxy
	cargo test --locked --workspace --no-run

lint: ## clippy and go vet, warnings are errors
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cd e2e/cluster && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go vet ./...
	cd e2e/bare-client && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go vet ./...

pure: ## the pure modules alone: no runtime, no HTTP, no Kubernetes client
	@! cargo tree --locked --package silverback --no-default-features --edges normal --prefix none | grep -E '^(tokio|hyper|reqwest|axum|kube|rustls)(-[a-z]+)? v' \
	  || { echo "the pure build depends on the above"; exit 1; }
	cargo test --locked --package silverback --no-default-features --lib

unit: ## unit tests, golden directories and doc tests of all crates; tests of the test bed itself
	cd e2e/cluster && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go test ./relay ./testapp
	cargo test --locked --workspace --lib --bins
	cargo test --locked --workspace --doc

integration: ## programs as a user runs them: real processes, TLS, sockets
	cargo test --locked --workspace --test '*'

chart: ## the chart: lint, the same text twice, and refused values
	@$(SCRIPTS)/chart.sh

e2e: ## scenarios on a real cluster of their own (SCENARIOS="names": some; KEEP=1: leave it up)
	@$(SCRIPTS)/scenarios.sh $(SCENARIOS)

e2e-long: ## leaders that are killed, stopped and cut off under changes; five minutes without an API server
	@$(SCRIPTS)/scenarios.sh leader-faults no-api-server-long

e2e-upgrade: ## the long table of upgrades: both Helms, several releases, everything that happens to them
	@$(SCRIPTS)/scenarios.sh upgrade-sidecar upgrade-ingress upgrade-values upgrade-edited upgrade-refused upgrade-long upgrade-helm4

conformance: ## the Gateway API's own conformance suite on a cluster of its own; in no other target (SUITE="-run-test=NAME": its flags)
	@$(SCRIPTS)/conformance.sh $(SUITE)

chaos: ## faults under load for MINUTES (60) in the order that SEED (1) gives, and an observer that compares
	@$(SCRIPTS)/scenarios.sh --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1) chaos-long

browser: ## the dashboard in a real Chromium
	cargo build --locked
	$(SCRIPTS)/browser.sh $(CARGO_TARGET_DIR)/debug/silverback

bench: ## translation, and a change on its way to all proxies: each figure beside its limit
	cargo build --locked --release --workspace --bin silverback --bin bench
	$(CARGO_TARGET_DIR)/release/bench translation
	$(CARGO_TARGET_DIR)/release/bench directory --silverback $(CARGO_TARGET_DIR)/release/silverback

bench-fleet: ## 10,000 routes on 100 stub proxies with a real API server, beside a bare client (FLEETS="large small probes": some; root)
	cargo build --locked --release --workspace --bin silverback --bin bench
	@$(SCRIPTS)/bench-fleet.sh $(FLEETS)

docs: ## the reference of the code, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

# ---- by hand

.PHONY: demo crds images cluster-up cluster-down cluster-status cluster-proof
demo: ## three proxies and the controller on this machine, no cluster
	cargo run --locked --release -- demo

crds: ## generates deploy/crds
	@$(SCRIPTS)/crds.sh

images: ## builds the images from the release binaries and prints their files
	@PROFILE=release $(SCRIPTS)/images.sh

cluster-up: prerequisites ## a real Kubernetes on this machine, our images in it; at once when it is there
	@$(SCRIPTS)/cluster.sh up

cluster-down: ## takes it down
	@$(SCRIPTS)/cluster.sh down

cluster-status: ## what runs
	@$(SCRIPTS)/cluster.sh status

cluster-proof: ## what the test bed itself can do, shown: volumes, Services, DNS, webhooks, Helm, node failures
	@e2e/cluster/proof/prove.sh

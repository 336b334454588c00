# make demo | test | install | bench | generate | lint | touch. Each sets up what it needs; only the cargo and npm registries are reached, and the
# distribution's packages for PostgreSQL, softhsm2 and Prometheus where they are missing.

SHELL := /bin/sh
# The minimum Rust version, from the one place that has it.
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
CARGO ?= cargo
NPM_DIR := verifier-contract
NPM_STAMP := $(NPM_DIR)/node_modules/.package-lock.json
OUT ?= target/demo
# Days of the demonstration.
DAYS ?= 31
# Communities of the city that `make bench` runs.
SAMPLE ?= 24

.DEFAULT_GOAL := help
.PHONY: help check-rust check-node check-postgres check-softhsm check-prometheus setup demo test install small bench-small bench bench-report bench-growth bench-operations bench-scale bench-soak bench-provers bench-log bench-load soak-load nightly generate lint touch api-fuzz

help:
	@echo "make demo      a month of 17 real homes through the whole system, summary in $(OUT)/summary.json"
	@echo "                 OUT=folder puts it elsewhere, DAYS=8 is a shorter month"
	@echo "make test      every test but the long ones: Rust, contracts, generated code"
	@echo "make setup     only what the others need: the contracts' tools"
	@echo "make install   the binary gridveil, optimised, into cargo's folder; demo and devnet need this checkout"
	@echo "make small     the client of a small device beside a meter (gridveil meter alone) in target/small; TARGET=aarch64-unknown-linux-gnu"
	@echo "                 builds it for another processor. make bench-small measures its memory, about 3 minutes"
	@echo "make bench     all measurements, about 10 minutes, in benches/results/; the city of bench-scale as a sample. One alone:"
	@echo "                 SAMPLE=24 is how many communities of the city are proved"
	@echo "                 bench-report  keys, proofs, memory and gas of the deployable shapes"
	@echo "                 bench-growth  the same as members and intervals grow"
	@echo "                 bench-operations  rows, proofs and gas of operations and certificates, beside version 1"
	@echo "                 bench-scale   a day of a city of 100,000 homes, every home; about 15 minutes"
	@echo "                 bench-soak    many proofs in one process: memory must not grow"
	@echo "                 bench-log     opening a sequencer's log of a million packets; about 5 minutes, 3 GB"
	@echo "                 bench-provers one prover process and several, through PostgreSQL; about 3 minutes"
	@echo "                 bench-load    a sequencer under load, about 10 minutes; SOAK=3600 for an hour's soak"
	@echo "make soak-load reading, closing and proving under load for ten minutes, with real processes; MINUTES=60 for longer"
	@echo "make nightly   fuzzing (120 s a target), equations one by one, the demonstration with proofs, a small device, more random cases,"
	@echo "                 a fleet of 1,000 homes, the soak, 1,000 times kill -9, 200 damaged logs, ten minutes under load"
	@echo "make generate  verifiers, artifacts, golden files and the description of the API again"
	@echo "make api-fuzz  a running sequencer against the description of its API, about a minute and a half"
	@echo "make touch     what adding an operation, an endpoint or a meter format touches, against the table of ARCHITECTURE.md"
	@echo "make lint      format, clippy and documentation, without warnings in our own code"

check-rust:
	@command -v $(CARGO) >/dev/null 2>&1 || { echo "make: cargo is missing: install Rust $(RUST) or later (https://rustup.rs)" >&2; exit 1; }
	@$(CARGO) --version | awk -v needed=$(RUST) '{ split($$2, v, "."); split(needed, n, "."); exit !(v[1] > n[1] || v[1] == n[1] && v[2] + 0 >= n[2]) }' \
	  || { echo "make: $$($(CARGO) --version) is too old, $(RUST) or later is needed" >&2; exit 1; }
	@command -v cc >/dev/null 2>&1 || { echo "make: a C compiler is missing (Debian: apt install build-essential)" >&2; exit 1; }

check-node:
	@command -v npm >/dev/null 2>&1 || { echo "make: npm is missing: install node 20 or later (Debian: apt install nodejs npm)" >&2; exit 1; }
	@node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)' \
	  || { echo "make: node $$(node --version) is too old, 20 or later is needed" >&2; exit 1; }

# The queue's tests run a server of their own, in a temporary directory.
check-postgres:
	@have() { command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }; \
	if ! have && command -v apt-get >/dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ]; then as=; elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as="sudo -n"; else as=no; fi; \
	  if [ "$$as" != no ]; then \
	    echo "make: PostgreSQL is missing: installing it"; \
	    $$as apt-get update -q >/dev/null && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -qy postgresql >/dev/null; \
	  fi; \
	fi; \
	have || { echo "make: PostgreSQL is missing, the queue's tests need it (Debian: apt install postgresql)" >&2; exit 1; }

# The tests of a PKCS#11 token want Debian's software token. Where it cannot be installed they are left out, and say so.
check-softhsm:
	@if ! command -v softhsm2-util >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ]; then as=; elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as="sudo -n"; else as=no; fi; \
	  if [ "$$as" != no ]; then \
	    echo "make: softhsm2 is missing: installing it"; \
	    $$as apt-get update -q >/dev/null && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -qy softhsm2 >/dev/null; \
	  fi; \
	fi; \
	command -v softhsm2-util >/dev/null 2>&1 || echo "make: softhsm2 is missing: the tests of a token are left out (Debian: apt install softhsm2)"

# Tests of metrics and alerts run a Prometheus of their own and its tools. Where it cannot be installed they are left out, and say so.
check-prometheus:
	@have() { command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1; }; \
	if ! have && command -v apt-get >/dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ]; then as=; elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as="sudo -n"; else as=no; fi; \
	  if [ "$$as" != no ]; then \
	    echo "make: prometheus is missing: installing it"; \
	    $$as apt-get update -q >/dev/null && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends prometheus >/dev/null; \
	  fi; \
	fi; \
	have || echo "make: prometheus is missing: the tests of metrics and alerts on it are left out (Debian: apt install prometheus)"

# Installed again when the lock file changes.
$(NPM_STAMP): $(NPM_DIR)/package-lock.json $(NPM_DIR)/package.json | check-node
	@echo "make: installing the contracts' tools (anvil, forge, solc)"
	cd $(NPM_DIR) && npm ci --no-audit --no-fund
	@touch $@

setup: check-rust check-node $(NPM_STAMP)

demo: setup
	@echo "make: building the binary; the first time, 10 to 25 minutes on two cores"
	@$(CARGO) build -p gridveil
	@if grep -qs avx512ifma /proc/cpuinfo; then took="about a minute and a half"; else took="about 12 minutes, as this processor has no AVX-512 IFMA (DAYS=8: 4)"; fi; \
	  echo "make: the demonstration: $$took; the first time, keys are made too"
	$(CARGO) run -q -p gridveil -- demo --days $(DAYS) --out $(OUT)
	@echo "make: the summary is in $(OUT)/summary.json"

install: check-rust
	$(CARGO) install --locked --path .

# TARGET: a target of rustup, with its linker.
small: check-rust
	@echo "make: building the client of a small device; the first time, 2 to 4 minutes on two cores"
	@$(CARGO) build --locked -p gridveil --no-default-features --profile small $(if $(TARGET),--target $(TARGET))
	@file=$${CARGO_TARGET_DIR:-target}/$(if $(TARGET),$(TARGET)/)small/gridveil; echo "make: $$file, $$(wc -c < $$file) bytes"

# With figures of this machine in benches/results/small-client.json.
bench-small: setup small
	GRIDVEIL_BLESS=1 $(CARGO) test -q --workspace --test suite -- --ignored --nocapture a_small_device_has_room

STEP := .ci/step
BUILT := $(or $(CARGO_TARGET_DIR),target)/debug

# What takes seconds or needs no build comes first; then Rust; then every generated file against its generator; then the contract suite with its
# gas snapshots. Each step says its minutes.
test: setup check-postgres check-softhsm check-prometheus
	@$(STEP) "format" $(CARGO) fmt --all --check
	@$(STEP) "contracts: format, documentation" sh -c 'cd $(NPM_DIR) && npm run -s check:format'
	@$(STEP) "clippy" $(CARGO) clippy --workspace --all-targets -- -D warnings
	@$(STEP) "clippy: the client of a small device" $(CARGO) clippy -p gridveil --no-default-features -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(STEP) "documentation" $(CARGO) doc --workspace --no-deps --document-private-items
	@CARGO="$(CARGO)" $(STEP) "what adding touches" .ci/touch
	@$(STEP) "build" $(CARGO) test --workspace --no-run
	@command -v softhsm2-util >/dev/null 2>&1 && export GRIDVEIL_REQUIRE_TOKEN=1; \
	  command -v promtool >/dev/null 2>&1 && export GRIDVEIL_REQUIRE_PROMETHEUS=1; \
	  GRIDVEIL_REQUIRE_POSTGRES=1 GRIDVEIL_FUZZ_SEED="$$(git rev-parse HEAD 2>/dev/null)" $(STEP) "tests" $(CARGO) test --workspace
	@CARGO="$(CARGO)" $(STEP) "the API against its description" .ci/api-fuzz
	@$(STEP) "contracts: build, artifacts" sh -c 'cd $(NPM_DIR) && npm run -s build && node script/artifacts.js --check'
	@# As the tests' build has left it: `cargo run` would compile five crates again, without the tests' features.
	@$(STEP) "generated verifiers" $(BUILT)/generate --check
	@FORGE_SNAPSHOT_CHECK=true $(STEP) "contracts: tests" sh -c 'cd $(NPM_DIR) && npm run -s test'

# In this order: growth and scale use figures of the report.
bench: setup
	$(CARGO) run -p gridveil -- bench report
	$(CARGO) run -p gridveil -- bench growth
	$(CARGO) run -p gridveil -- bench operations
	$(CARGO) run -p gridveil -- bench scale --sample $(SAMPLE)
	$(CARGO) run -p gridveil -- bench soak
	$(MAKE) bench-provers
	@echo; echo "what each change gave, district-128x96 (benches/results/steps.md):"; sed -n '/^| change/,/^$$/p' benches/results/steps.md

bench-report bench-growth bench-operations bench-scale bench-soak bench-log: setup
	$(CARGO) run -p gridveil -- bench $(@:bench-%=%)

# Through a database of its own: .ci/with-postgres names it to the measurement.
bench-provers: setup check-postgres
	.ci/with-postgres $(CARGO) run -p gridveil -- bench provers

# SOAK: seconds of the soak at twice the target.
bench-load: setup
	$(CARGO) run -p gridveil -- bench load $(if $(SOAK),--seconds $(SOAK))

# Every package's tests are built as `make test` builds them; one of them runs.
MINUTES ?= 10
soak-load: setup
	GRIDVEIL_SOAK_S=$$(($(MINUTES) * 60)) $(CARGO) test --workspace --test suite -- --nocapture it_reads_closes_and_proves_under_load

# What is too long for every change. A fresh seed each night; a failure prints it with the input.
nightly: setup check-postgres
	@$(STEP) "build" $(CARGO) test --workspace --no-run
	@$(STEP) "the client of a small device" $(MAKE) small
	@$(STEP) "equations, copies, the demonstration with proofs, a small device's memory" $(CARGO) test --workspace --test suite -- --ignored
	@GRIDVEIL_FUZZ_SECONDS=120 GRIDVEIL_FUZZ_SEED="$$(date +%s)" $(STEP) "fuzzing" $(CARGO) test --workspace --test smoke -- --nocapture
	@PROPTEST_CASES=2000 $(STEP) "random statements, packets and files" $(CARGO) test -p gridveil-protocol -p gridveil-meter-client --lib
	@# As the tests' build has left it.
	@seed="$$(date +%s)"; echo "seed $$seed"; $(STEP) "a fleet of 1,000 homes" $(BUILT)/gridveil fleet --homes 1000 --seed "$$seed"
	@$(STEP) "soak" $(CARGO) run -q -p gridveil -- bench soak
	@GRIDVEIL_KILLS=1000 GRIDVEIL_TORN=200 GRIDVEIL_FUZZ_SEED="$$(date +%s)" $(STEP) "1,000 kills, 200 damaged logs" \
	  $(CARGO) test --workspace --test suite -- --nocapture nothing_is_lost_however_often a_damaged_log_opens_whole
	@$(STEP) "ten minutes under load" $(MAKE) soak-load

generate: setup
	cd $(NPM_DIR) && npm run -s generate
	GRIDVEIL_BLESS=1 $(CARGO) test -q -p gridveil-circuits --test suite cost
	GRIDVEIL_BLESS=1 $(CARGO) test -q -p gridveil --test architecture version_2
	GRIDVEIL_BLESS=1 $(CARGO) test -q -p gridveil-sequencer --test suite -- the_description_is_the_committed_one the_page_has_the_table

lint: setup
	@$(STEP) "format" $(CARGO) fmt --all --check
	@$(STEP) "clippy" $(CARGO) clippy --workspace --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(STEP) "documentation" $(CARGO) doc --workspace --no-deps --document-private-items

# Left out, and said so, where schemathesis cannot be installed; an error with GRIDVEIL_REQUIRE_SCHEMATHESIS=1.
api-fuzz: check-rust
	@CARGO="$(CARGO)" $(STEP) "the API against its description" .ci/api-fuzz

touch: setup
	@CARGO="$(CARGO)" $(STEP) "what adding touches" .ci/touch

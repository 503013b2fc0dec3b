# Short names for what one types while working on muster. `make` alone lists them.

SCRATCH ?= .build
PREFIX ?= /usr/local
# Seconds each fuzz target runs.
FOR ?= 60
# What `simulate` runs: so many seeds from this one on, and how large each is, where that is not the seed's to say.
SEED ?= 1
SEEDS ?= 1
AGENTS ?=
PEERS ?=
MINUTES ?= 5

muster := $(SCRATCH)/release/muster
share = $(DESTDIR)$(PREFIX)/share

# A force unwrap is a lint error in what ships; a test, a benchmark or a fuzz target may just trap.
shipped := $(wildcard Package.swift Sources)
unshipped := $(wildcard Tests Benchmarks Fuzz)
relaxed = $$(sed -E 's/"(NeverForceUnwrap|NeverUseForceTry)": true/"\1": false/' .swift-format)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build debug demo test smoke incidents simulate simulate-shares planted conformance format format-check check bench bench-checks bench-detection bench-fleet bench-live fuzz install clean

help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## install the Debian packages the build needs
	@scripts/setup

build: ## release binary: .build/release/muster
	@test -x $(muster) || echo "building; the first build takes about four minutes"
	swift build --scratch-path $(SCRATCH) -c release --static-swift-stdlib --product muster

debug: ## debug build of everything but the tests
	@test -d $(SCRATCH)/debug || echo "building; the first build takes about four minutes"
	swift build --scratch-path $(SCRATCH)

demo: setup build ## everything on loopback; Ctrl-C ends it, DEMO_SECONDS=20 ends it by itself
	$(muster) demo

test: ## all tests, with warnings as errors
	@scripts/setup --test
	@test -d $(SCRATCH)/debug || echo "building; the first build takes about four minutes"
	@MUSTER_WERROR=1 scripts/run-tests --scratch-path $(SCRATCH)

smoke: build ## whether the release binary starts, fails over, answers and ends
	MUSTER=$(muster) scripts/smoke

incidents: build ## whether log, status, API and agent line tell the same of some sixty real faults; a minute
	MUSTER=$(muster) scripts/incidents

conformance: build ## thirty-eight groups of messages over raw sockets, by RFC 9110 and 9112; two minutes
	MUSTER=$(muster) scripts/conformance

simulate: ## fleets of agents by seed, under virtual time: SEED=1 SEEDS=100 AGENTS=5 PEERS=20 MINUTES=5
	@swift build --scratch-path $(SCRATCH) -c release --product muster-simulate --quiet
	@$(SCRATCH)/release/muster-simulate --seed $(SEED) --seeds $(SEEDS) --minutes $(MINUTES) \
	    $(if $(AGENTS),--agents $(AGENTS)) $(if $(PEERS),--peers $(PEERS))

simulate-shares: ## what moves when one of a thousand agents with a hundred thousand pairs is lost
	@swift build --scratch-path $(SCRATCH) -c release --product muster-simulate --quiet
	@$(SCRATCH)/release/muster-simulate --shares $(if $(AGENTS),--agents $(AGENTS)) $(if $(PEERS),--peers $(PEERS))

planted: ## whether the simulation sees each of some forty faults planted in the fleet; some minutes
	@scripts/planted-faults

format: ## lay out all Swift files
	swift format format --in-place --parallel --recursive $(shipped) $(unshipped)

format-check: ## what `format` would change, and the lint rules
	@status=0; \
	swift format lint --strict --parallel --recursive $(shipped) || status=1; \
	test -z "$(unshipped)" || swift format lint --strict --parallel --recursive \
	    --configuration "$(relaxed)" $(unshipped) || status=1; \
	exit $$status

check: format-check test ## what CI runs

bench: build ## CPU per proxied request, small and large, and its p99, beside HAProxy, nginx and the floor; some minutes
	@scripts/setup --test --bench
	MUSTER=$(muster) scripts/bench

bench-checks: build ## CPU per probe, beside HAProxy
	@scripts/setup --test --bench
	MUSTER=$(muster) scripts/bench-checks

bench-detection: build ## how soon an ill peer is seen and what clients notice, beside HAProxy; half an hour
	@scripts/setup --test --bench
	MUSTER=$(muster) scripts/bench-detection

bench-fleet: build ## three agents and a Redis that are killed, stopped, cut off and emptied; root, a quarter of an hour
	@scripts/setup --test
	MUSTER=$(muster) scripts/bench-fleet

bench-live: build ## fifty readers of events, bursts of them, operators at odds, a thousand changes a second
	@scripts/setup --test --bench
	MUSTER=$(muster) scripts/bench-live

fuzz: ## every parser on libFuzzer, FOR=60 seconds each
	@scripts/setup
	FOR=$(FOR) scripts/fuzz

install: ## copy the release binary, its drop-in checks, manual and completions to PREFIX=/usr/local
	@test -x $(muster) || { echo "nothing to install yet: run 'make build' first, as yourself" >&2; exit 1; }
	install -D -m 755 $(muster) $(DESTDIR)$(PREFIX)/bin/muster
	@install -d "$(share)/man/man1" "$(share)/bash-completion/completions" \
	    "$(share)/zsh/site-functions" "$(share)/fish/vendor_completions.d"
	$(muster) manual > "$(share)/man/man1/muster.1"
	$(muster) --generate-completion-script bash > "$(share)/bash-completion/completions/muster"
	$(muster) --generate-completion-script zsh > "$(share)/zsh/site-functions/_muster"
	$(muster) --generate-completion-script fish > "$(share)/fish/vendor_completions.d/muster.fish"
	@for folder in $(wildcard checks.d examples); do \
	    install -d "$(DESTDIR)$(PREFIX)/share/muster/$$folder" && \
	    cp -R "$$folder/." "$(DESTDIR)$(PREFIX)/share/muster/$$folder/" || exit 1; \
	done

clean: ## remove what was built
	rm -rf $(SCRATCH)

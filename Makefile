# Everything a checkout needs. The first target that wants the virtual environment makes it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
GO ?= $(or $(shell command -v go),/usr/local/go/bin/go)
OTEL_VERSION := 0.161.0
COLLECTOR := .cache/otelcol/promptspan-otelcol
TELEMETRYGEN := .cache/bin/telemetrygen
COMPOSE_MODEL := .cache/bin/compose-model
SAY = @printf '\033[1m== %s\033[0m\n'

.PHONY: help install demo test faults collector test-collector bench bench-sdk bench-compare bench-whereis bench-queries bench-store bench-forecast bench-focus format lint typecheck browser clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(STAMP) ## Set up .venv with every extra and the development tools

$(BIN)/uv:
	$(SAY) "Making a virtual environment in $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || {
	  echo "   This Python has no working venv module (Debian ships it apart, as python3-venv)."
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then
	    echo "   Installing python3-venv with apt-get."
	    export DEBIAN_FRONTEND=noninteractive
	    { apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; } || true
	  fi
	  rm -rf $(VENV)
	  $(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || {
	    rm -rf $(VENV)
	    echo "   Install it, then run make again:  sudo apt-get install python3-venv" >&2; exit 1
	  }
	}
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

$(STAMP): pyproject.toml uv.lock | $(BIN)/uv
	$(SAY) "Installing promptspan with all extras and the development tools (about 1 GB on disk, once)"
	@$(BIN)/uv sync --frozen --all-extras --all-groups --quiet --python $(BIN)/python
	@touch $(STAMP)
	$(SAY) "Installed. Next: make demo"

demo: install ## Start everything on this machine with replayed traffic; Ctrl-C stops it
	@$(BIN)/promptspan demo

browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || {
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then
	    printf '\033[1m== %s\033[0m\n' "Installing Chromium for the browser tests"
	    { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || echo "   No Chromium: the browser tests will skip and say so."
	  else
	    echo "== No Chromium here: the browser tests will skip (sudo apt-get install chromium brings it)"
	  fi
	}

test: install browser ## Run the tests (under ten minutes on two cores)
	$(SAY) "Running the tests"
	@$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/faults $(PYTEST_ARGS)
	$(SAY) "Running the fault tests, which fork and spawn and so have a process of their own"
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/faults $(PYTEST_ARGS)

# The thin SDK runs on each of these; its tests need no more than this beside it.
SDK_PYTHONS ?= 3.10 3.11 3.12 3.13
SDK_TEST_NEEDS := pytest pytest-asyncio hypothesis starlette uvicorn openai anthropic google-genai mistralai cohere ollama boto3 langchain-core langchain-openai langchain-anthropic litellm tiktoken

test-sdk: install ## Run the SDK's tests on every Python from 3.10 to 3.13 that this machine has
	@for version in $(SDK_PYTHONS); do
	  python=
	  for try in "$$(command -v python$$version)" "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python; do
	    [ -z "$$python" ] && "$$try" -c '' 2>/dev/null && python=$$try
	  done
	  [ -n "$$python" ] || { printf '\033[1m== %s\033[0m\n' "Python $$version is not on this machine: skipped"; continue; }
	  printf '\033[1m== %s\033[0m\n' "The SDK on Python $$version ($$python)"
	  env=$(VENV)/sdk/$$version
	  [ -x $$env/bin/python ] || $(BIN)/uv venv --quiet --python "$$python" $$env
	  $(BIN)/uv pip install --quiet --python $$env/bin/python --editable . $(SDK_TEST_NEEDS)
	  UV=$$PWD/$(BIN)/uv $$env/bin/python -m pytest -q tests/sdk $(PYTEST_ARGS)
	  $$env/bin/python -m pytest -q tests/sdk_transport $(PYTEST_ARGS)
	done

faults: install ## Run the faults at their full length: outages of a minute, 1,000 forks, 150 kills, and other slow tests (about ten minutes)
	@$(BIN)/python -m pytest -m long -n 2 $(PYTEST_ARGS)

collector: $(COLLECTOR) $(TELEMETRYGEN) $(COMPOSE_MODEL) ## Build the Collector for production, and what its tests use (needs Go)

# Neither depends on the checkout's revision: the same version is the same program.
$(COLLECTOR): export GOFLAGS := -buildvcs=false -trimpath
$(COLLECTOR): collector-config/builder.yaml
	$(SAY) "Building the Collector from $< (about two minutes, once)"
	@$(GO) version >/dev/null || { echo "   Go is needed: https://go.dev/dl" >&2; exit 1; }
	@mkdir -p $(@D)
	$(GO) run go.opentelemetry.io/collector/cmd/builder@v$(OTEL_VERSION) --config $<
	@touch $@

$(TELEMETRYGEN):
	$(SAY) "Building telemetrygen"
	@mkdir -p $(@D)
	@GOBIN=$(abspath $(@D)) $(GO) install github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v$(OTEL_VERSION)

$(COMPOSE_MODEL): $(wildcard tests/collector/compose/*)
	$(SAY) "Building the reader of docker-compose.yml"
	@mkdir -p $(@D)
	@cd tests/collector/compose && $(GO) build -buildvcs=false -trimpath -o $(abspath $@) .

test-collector: install collector ## Run the tests of the Collector's way, those at full length too (about four minutes)
	@$(BIN)/python -m pytest tests/collector -m 'long or not long' $(PYTEST_ARGS)

bench: install ## Run the benchmarks, each as a ratio to a reference in the same run
	@shopt -s nullglob; for b in benchmarks/bench_*.py; do echo "== $$b"; $(BIN)/python $$b; done

bench-sdk: install ## What the SDK costs its host, to plain OpenTelemetry in one run (BENCH_ARGS="--short", "--peers")
	@$(BIN)/python benchmarks/bench_sdk.py $(BENCH_ARGS)

bench-compare: install ## Comparisons under hourly peeking: claims without a difference, time to a verdict (BENCH_ARGS="--runs 200")
	@$(BIN)/python benchmarks/bench_compare.py $(BENCH_ARGS)

bench-whereis: install ## Planted changes, and how often the first answer is the segment (BENCH_ARGS="--runs 1000")
	@$(BIN)/python benchmarks/bench_whereis.py $(BENCH_ARGS)

bench-queries: install ## Every question of the dashboard over thirty days of calls (BENCH_ARGS="--calls 10000000")
	@$(BIN)/python benchmarks/bench_queries.py $(BENCH_ARGS)

bench-store: install ## What the store costs, to the engine's own floor in one run (BENCH_ARGS="--short", "--strict")
	@$(BIN)/python benchmarks/bench_store.py $(BENCH_ARGS)

bench-drift: install ## Drift on simulated weeks: false alarms, share found, delay, beside what is commonly used
	@$(BIN)/python benchmarks/bench_drift.py $(BENCH_ARGS)

bench-forecast: install ## How often the spend forecast's interval covers what came, on recorded traffic and simulated weeks
	@$(BIN)/python benchmarks/bench_forecast.py $(BENCH_ARGS)

bench-alerts: install ## Alerts on simulated services: healthy pages, delays, speed (BENCH_ARGS="--short", "--strict")
	@$(BIN)/python benchmarks/bench_alerts.py $(BENCH_ARGS)

bench-focus: install ## What the FOCUS export holds and costs, and whether duckdb and openpyxl read it back (BENCH_ARGS="--rows 1000000 --days 31")
	@$(BIN)/python benchmarks/bench_focus.py $(BENCH_ARGS)

format: install ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix --quiet .

lint: install ## Check style and the walls between the rooms
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/lint-imports

typecheck: install ## Check types strictly
	@$(BIN)/pyright

clean: ## Remove what make install made
	rm -rf $(VENV)

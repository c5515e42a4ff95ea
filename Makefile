# Needs make and Python 3.11, nothing else. `make` alone lists what there is.

PYTHON ?= python3.11
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Most of the whole-server tests wait for sockets and timers, so more of them than there are cores run side by side.
TEST_PROCESSES ?= 4
export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK := 1

RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed

.DEFAULT_GOAL := help
.PHONY: help setup run test check static docs dist lock format clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV) ## make .venv with everything that running, testing and developing needs
	@echo "Ready: .venv"

run: $(RUNTIME) ## set up and start the server on http://127.0.0.1:8080 (flags: make run ARGS="--port 9000")
	@exec $(BIN)/cooee serve $(ARGS)

test: static ## set up and prove everything: what check does, and the contract and integration tests
	@$(PYTEST) tests -n $(TEST_PROCESSES) --hypothesis-profile=ci

check: static ## set up and check in some two minutes: format, lint, types, arrows, unit and property tests
	@$(PYTEST) tests/unit $(wildcard tests/property) --hypothesis-profile=fast

static: $(DEV)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: $(DEV) ## build the documentation as a site: build/site/index.html
	@$(BIN)/python -m scripts.site.build

dist: $(DEV) ## build what is published: a wheel and a source archive, in dist/
	@$(BIN)/python -m build --no-isolation --outdir dist .

format: $(DEV) ## format the code and repair what the linter can
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: $(DEV) ## choose versions that pyproject.toml allows, and write them to the locks
	@scripts/lock

clean: ## remove .venv, caches and built files; data folders stay
	@rm -rf .venv tests/interop/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov
	@find src tests scripts -name __pycache__ -type d -exec rm -rf {} +

# A stamp is newer than what it was made from, so a second run costs nothing.
$(RUNTIME): requirements.lock pyproject.toml scripts/setup
	@scripts/setup runtime
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
	@scripts/setup dev
	@touch $@

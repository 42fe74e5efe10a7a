# Needs a Python of at least 3.11 and make, nothing else. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Most of the tests' time is XLA compiling, which takes one core. A file's tests share what they compile.
TEST_JOBS ?= 2
SOURCES := $(wildcard rgb2ir_jax data_builders configs benchmarks tests)

# The interpreter that makes the environment: PYTHON=..., or the newest of the tested ones that
# really runs (a version manager's shim may stand on the path without a Python behind it), or
# whatever python3 is, if it is new enough.
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for candidate in python3.13 python3.12 python3.11 python3 python; do \
	if "$$candidate" -c '$(SUITABLE)' > /dev/null 2>&1; then echo "$$candidate"; break; fi; done)

.PHONY: help demo test lint format lock clean distclean install

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## (.*)/make \1|\2/' \
		| while IFS='|' read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done

demo: $(STAMP) ## film, build, train, test and print the table (runs/demo; about 12 minutes on two cores)
	$(BIN)/python -m rgb2ir_jax.demo

test: $(STAMP) lint ## lint, format and type check, then every test; ARGS="-k name" goes to pytest
	$(BIN)/python -m pytest --numprocesses=$(TEST_JOBS) --dist=loadfile --no-loadscope-reorder $(ARGS)

lint: $(STAMP) ## lint, format and type check only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(STAMP) ## only make the environment

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python of version 3.11 or newer with venv and ensurepip was found on the path." >&2; \
		echo "Install one (on Debian and Ubuntu: python3 and python3-venv) or name it:" >&2; \
		echo "    make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	fi
	@if ! "$(PYTHON)" -c '$(SUITABLE)'; then \
		echo "$(PYTHON) cannot make the environment: it must run, be Python 3.11 or newer and have venv and ensurepip." >&2; \
		exit 1; \
	fi
	"$(PYTHON)" -m venv $(VENV)

# The stamp comes last, so that an interrupted installation is taken up again.
$(STAMP): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

lock: ## resolve requirements.lock anew; UPGRADE=1 moves to the newest versions that pyproject allows
	@$(MAKE) --no-print-directory $(BIN)/python
	$(BIN)/python -m venv .cache/lock
	.cache/lock/bin/python -m pip install --disable-pip-version-check --quiet uv
	.cache/lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra dev \
		--no-annotate --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
		--output-file requirements.lock

clean: ## remove caches and build leftovers
	rm -rf build dist .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find $(SOURCES) -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## also remove the environment and runs/
	rm -rf $(VENV) runs

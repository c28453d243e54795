# The two commands of the README do all the set-up on a machine with Python 3.11 or newer and make:
#   make demo    train, export, verify and use a model, on digits that ship inside
#   make test    every gate: style, types, layers, tests, the docs' commands
# Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Two test processes with one thread each beat one with two: see docs/log.md.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

.PHONY: demo test fast lint help clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' $(MAKEFILE_LIST)

demo: $(VENV)/.train
	$(BIN)/mobilens demo

#   make lint    style, types and layers alone
lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST)

#   make fast    the tests that take no more than a few seconds each
fast: $(VENV)/.test
	$(PYTEST) -m "not slow"

# A stamp for each extra: installed again only when what is to be installed has changed.
$(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing mobilens[$*] into $(VENV); torch is large, this takes a few minutes'
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'mobilens needs Python 3.11 or newer; name one: make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

#   make clean   remove the environment and what the tools leave behind
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Two commands matter: `make run` builds the quickstart, `make test` runs every check.
# Needs python3 (3.11 or newer, with venv), make and git. Only the install uses the network.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
QUICKSTART := examples/quickstart/manifest.yaml
PYTEST_ARGS ?=

.PHONY: run test test-quick lint install clean

run: $(INSTALLED)
	$(BIN)/edgebuild run $(QUICKSTART)

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-quick: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(INSTALLED)

# pyproject.toml decides what is installed, so a change there installs again.
$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edgebuild needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[yolo,dev]'
	touch $@

clean:
	rm -rf $(VENV) examples/quickstart/build examples/quickstart/dist examples/quickstart/.edgebuild

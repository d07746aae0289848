# Two commands matter: `make run` builds the quickstart, `make test` runs every check.
# Needs python3 (3.11 or newer, with venv), make and git. Only the install uses the network.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
QUICKSTART := examples/quickstart/manifest.yaml
PYTEST_ARGS ?=
# A file's tests share what they set up, so a file goes to one process; more than four only fight for memory.
# In order, for the long ones come early.
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# The environments of real toolchains, made once per machine; openvino and ncnn are small enough for every test run.
export EDGEBUILD_TEST_ENVIRONMENTS ?=
TOOLCHAINS := openvino ncnn
ALL_TOOLCHAINS := $(patsubst templates/%/requirements.txt,%,$(wildcard templates/*/requirements.txt))
# `make test-toolchains rknn`: the words after the target are toolchains, not targets.
ifeq (test-toolchains,$(firstword $(MAKECMDGOALS)))
ASKED := $(or $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS)),$(ALL_TOOLCHAINS))
$(eval $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS)):;@:)
endif
INTO_TEST_CACHE = $(if $(EDGEBUILD_TEST_ENVIRONMENTS),EDGEBUILD_CACHE=$(EDGEBUILD_TEST_ENVIRONMENTS))

.PHONY: run test test-quick test-toolchains toolchains lint install clean

run: $(INSTALLED)
	$(BIN)/edgebuild run $(QUICKSTART)

test: lint toolchains
	$(PYTEST) $(PYTEST_ARGS)

test-quick: $(INSTALLED)
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

# The heavy ones, gigabytes each: all that install, or those that are named.
test-toolchains: $(INSTALLED)
	$(INTO_TEST_CACHE) $(BIN)/edgebuild toolchain install $(ASKED)
	$(BIN)/python -m pytest -m toolchain --toolchains="$(ASKED)" $(PYTEST_ARGS)

toolchains: $(INSTALLED)
	$(INTO_TEST_CACHE) $(BIN)/edgebuild toolchain install $(TOOLCHAINS)

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

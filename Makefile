# `make` alone lists what there is.
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt --editable
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools
PACKAGES := client common conf edge launch server

.PHONY: help setup tools run test lint format bench clean

help: ## List the commands.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv with this project and the pinned packages that it runs with.

tools: $(TOOLS) ## Add the pinned tools that test and check it.

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	@touch $@

$(TOOLS): $(INSTALLED)
	$(INSTALL) '.[dev]'
	@touch $@

run: setup ## Train FedPhD on the embedded digits: pictures and a report in runs/.
	$(BIN)/fedphd $(ARGS)

test: tools ## Run the tests, two files at a time: those of deployments mostly wait.
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: tools ## Check style, types, docstrings and spelling.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/interrogate --quiet $(PACKAGES)
	$(BIN)/codespell

format: tools ## Put the code into the project's format.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Measure aggregation, packing and a round's overhead.
	$(BIN)/python -m benchmarks

clean: ## Remove the environment and caches; runs/ stays.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build dist

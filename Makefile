# Everything starts here. `make` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
CORPUS ?= embedded:

.PHONY: help setup demo serve test check format lock proto compile clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Create .venv with everything pinned

# The stamp carries the lock's date: an unchanged lock makes setup a no-op.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Run the Kubeflow pipeline here, on the embedded corpus or on CORPUS=<zip or URL>
	$(BIN)/ser pipeline run --remote-url '$(CORPUS)'

serve: setup ## Serve the models: gRPC on 50051, HTTP on 5000 (settings: ser-server --help)
	$(BIN)/ser-server

test: setup ## Run the tests (SER_EMODB_ZIP=<zip> adds those that want the real corpus)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup ## Lint, type-check and compare the generated files with their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/ser pipeline compile --check
	$(BIN)/python proto/generate.py --check

format: setup ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: setup ## Generate ser_api/v1/ from proto/ser/v1/ser.proto
	$(BIN)/python proto/generate.py

compile: setup ## Compile the pipelines into pipelines/compiled/
	$(BIN)/ser pipeline compile

RESOLVE = $(BIN)/uv pip compile --quiet --universal --generate-hashes pyproject.toml

lock: setup ## Resolve the locks anew from pyproject.toml
	$(RESOLVE) --upgrade --extra dev -o requirements.lock
	$(MAKE) components/{download,feature_extraction,training,evaluation}/requirements.lock

# A container installs the part of the lock that its step needs.
components/download/requirements.lock: EXTRAS = --extra pipelines
components/feature_extraction/requirements.lock: EXTRAS = --extra pipelines --extra features
components/training/requirements.lock: EXTRAS = --extra pipelines --extra training
components/evaluation/requirements.lock: EXTRAS = --extra pipelines --extra evaluation
components/%/requirements.lock: requirements.lock
	$(RESOLVE) --extra build $(EXTRAS) --constraint requirements.lock -o $@

clean: ## Remove the environment and the caches; data/, models/ and runs/ stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info

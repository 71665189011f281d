# Everything starts here. `make` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV   ?= .venv
BIN    := $(VENV)/bin
CORPUS ?= embedded:
RUNNER ?= subprocess

.PHONY: help setup demo serve test test-newer mutants test-random check format lock proto compile images clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Create .venv with everything pinned (PYTHON=<program> says by which Python)

# The stamp carries the lock's date: an unchanged lock makes setup a no-op.
$(VENV)/.installed: requirements.lock pyproject.toml setup.sh
	VENV='$(VENV)' ./setup.sh
	@touch $@

demo: setup ## Run the Kubeflow pipeline here, on CORPUS=<zip or URL>, by RUNNER=subprocess or docker
	$(BIN)/ser pipeline run --remote-url '$(CORPUS)' --runner $(RUNNER)

serve: setup ## Serve the models: gRPC on 50051, HTTP on 5000 (settings: ser-server --help)
	$(BIN)/ser-server

# A file's tests stay in one process, for what its fixtures have made serves them all; -n 0 runs all in this one.
# Three at once on two cores too: much of a test is waiting for what it has started.
PARALLEL := -n 3 --dist loadfile
test: setup ## Run the tests (SER_EMODB_ZIP=<zip> adds those that want the real corpus)
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

# A version of Python each, by an interpreter that is named so; .venv-VERSION is made for it.
NEWER_PYTHONS ?= python3.12 python3.13
# Each model type is trained and served once; what a training may not depend on is seen on one version.
TRAIN_AND_SERVE := $(addprefix tests/,conformance/test_conformance.py ser/steps/test_steps.py ser/test_predictor.py \
	ser/test_streaming.py $(addprefix inference_server/test_,predict.py streaming.py training.py)) \
	-k "not (same_seed or held_out_recordings or rows_on_the_disk or two_labels)"
test-newer: ## Run the tests of training and serving on NEWER_PYTHONS, each in an environment of its own
	for python in $(NEWER_PYTHONS); do \
	  $(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$(basename $$python) PYTEST_ARGS='$(TRAIN_AND_SERVE)' || exit; \
	done

SEED ?= $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
test-random: setup ## Run them in a random order; SEED=<number> repeats one
	$(BIN)/python -m pytest $(PARALLEL) --random-order $(SEED) $(PYTEST_ARGS)

mutants: setup ## Break one place at a time, and see whether the tests notice (goes on where it was stopped)
	$(BIN)/python -m tests.mutation $(MUTANTS)

check: setup ## Lint, type-check and compare the generated files with their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/ser pipeline compile --check
	$(BIN)/python proto/generate.py --check
	$(MAKE) --no-print-directory $(if $(KUSTOMIZE),,$(BIN)/kustomize)
	$(BIN)/python deploy/check.py $(or $(KUSTOMIZE),$(BIN)/kustomize)

# Renders deploy/; one that is installed is used, else Go makes one.
KUSTOMIZE := $(shell command -v kustomize)
$(BIN)/kustomize:
	@command -v go >/dev/null || { echo "check: expected kustomize, or Go to make it" >&2; exit 1; }
	GOBIN="$(CURDIR)/$(BIN)" go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1

format: setup ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: setup ## Generate ser_api/v1/ from proto/ser/v1/ser.proto
	$(BIN)/python proto/generate.py

compile: setup ## Compile the pipelines into pipelines/compiled/
	$(BIN)/ser pipeline compile pipelines/compiled

RESOLVE = $(BIN)/uv pip compile --quiet --universal --generate-hashes pyproject.toml

lock: setup ## Resolve the locks anew from pyproject.toml
	$(RESOLVE) --upgrade --extra dev -o requirements.lock
	$(MAKE) $(patsubst %,components/locks/%.lock,$(LOCKS))

# Containers install the parts of the lock that their step needs; the first is in all of them.
LOCKS := core components features networks trainer evaluation server build
components/locks/core.lock: requirements.lock
	$(RESOLVE) --constraint requirements.lock -o $@
components/locks/build.lock: requirements.lock
	echo setuptools | $(RESOLVE:pyproject.toml=-) --constraint requirements.lock -o $@
components/locks/%.lock: requirements.lock
	$(RESOLVE) --extra $* $(if $(filter components server,$*),--extra s3) --constraint requirements.lock -o $@

images: ## Build the container images with docker or podman, and print their sizes
	components/build.sh

clean: ## Remove the environment and the caches; data/, models/ and runs/ stay
	rm -rf $(VENV) .venv-* .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info

# The commands for working on the project. Each target sets up what it needs.
SHELL := /bin/bash
BOOT := .cache/boot
# The machine's uv if there is one, otherwise our own in a venv: nothing has to be installed by hand.
UV := $(shell command -v uv 2>/dev/null || echo $(CURDIR)/$(BOOT)/bin/uv)
RUN := $(UV) run --no-sync
STAMP := .venv/.synced
# What benchmarks are compared with, in environments of their own: nothing of it is a dependency of the project.
LANGGRAPH := .cache/peers/langgraph
# Each process has a Kafka of its own. Most tests wait, so there may be more of them than cores.
JOBS ?= 3
# Keep bytecode, whatever the environment says: every process then starts in half the time.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-deploy test-cluster jaeger sbom soak lint types layers commits check docs models fmt clean

help: ## Shows this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(BOOT)/bin/uv:
	python3 -m venv $(BOOT)
	$(BOOT)/bin/python -m pip install --quiet uv==0.13.9

ifeq ($(UV),$(CURDIR)/$(BOOT)/bin/uv)
$(STAMP): $(BOOT)/bin/uv
endif

$(STAMP): uv.lock pyproject.toml services/pyproject.toml
	$(UV) sync --frozen --quiet --all-packages --all-extras --compile-bytecode
	@touch $@

setup: $(STAMP) ## Installs everything into .venv from the lock file

demo: setup ## Runs an example session on the embedded broker (EXAMPLE=research-desk: the other one)
	@$(RUN) orchestrator demo $(EXAMPLE)

test: setup lint types layers ## Runs all checks and all tests, on a real Kafka and registry (JOBS=3 at once)
	$(RUN) pytest --numprocesses=$(JOBS) --no-loadscope-reorder

test-fast: setup ## Runs the tests that need no server
	$(RUN) pytest -m "not integration"

test-deploy: setup ## Checks chart, image, Compose file and traces; builds the tools for it once, which takes minutes
	$(RUN) pytest -m deploy tests/deploy

test-cluster: setup ## Installs the chart on a real API server; builds it once, which takes minutes
	$(RUN) pytest -m cluster tests/deploy

jaeger: setup ## Builds Jaeger for `orchestrator dev --jaeger`, once, which takes minutes
	$(RUN) python -m tools.go_tools jaeger

sbom: $(STAMP) ## Writes the image's SBOM from the lock file to dist/sbom.cdx.json (CycloneDX)
	@mkdir -p dist
	$(UV) export --frozen --quiet --no-dev --all-extras --no-extra local --no-extra cassettes --format cyclonedx1.5 \
	  --output-file dist/sbom.cdx.json

soak: setup ## Runs the long tests: hundreds of killed processes, lost brokers, storms of rebalances
	$(RUN) pytest -m soak

$(LANGGRAPH)/.synced: benchmarks/conversation/langgraph.txt | $(STAMP)
	$(UV) venv --quiet --clear $(LANGGRAPH)
	$(UV) pip sync --quiet --python $(LANGGRAPH) $<
	@touch $@

bench: setup $(LANGGRAPH)/.synced ## Runs all benchmarks on a real Kafka; `make bench-NAME` runs one
	$(RUN) python -m benchmarks

bench-conversation: $(LANGGRAPH)/.synced

bench-%: setup
	$(RUN) python -m benchmarks $*

lint: setup ## Runs ruff
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: setup ## Runs mypy, strict
	$(RUN) mypy orchestrator services/orchestrator_services scripts tools tests examples benchmarks deploy

layers: setup ## Checks that imports go down only and that generated files match their sources
	$(RUN) lint-imports
	$(RUN) python scripts/generate_models.py --check
	$(RUN) python scripts/generate_docs.py --check

commits: setup ## Checks the subjects of commits that are not on the main branch yet
	$(RUN) python scripts/check_commits.py

check: lint types layers commits ## Runs all checks that are not tests

docs: setup ## Writes the generated parts of the documentation
	$(RUN) python scripts/generate_docs.py

models: setup ## Writes the Python models from avro-schemas/
	$(RUN) python scripts/generate_models.py

fmt: setup ## Formats the code
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

clean: ## Removes everything that was built and installed here
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

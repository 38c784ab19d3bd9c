# Everything a person or CI runs here. Plain make (3.81 and later), plain pip.
# A recipe never needs an activated virtualenv, a HOME, or a tool outside .venv.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.ready
BUILD := build
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first of these that is new enough makes the virtualenv; `make PYTHON=…` names one.
PYTHON :=
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)

FIND_PYTHON = for python in $(PYTHONS); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.platform == "win32")' \
	    >/dev/null 2>&1 && break; python=; \
	done; \
	[ -n "$$python" ] || { echo "Tupana ETL needs Python 3.11 or newer on Linux or macOS:" \
	  "install it, or name it with \`make PYTHON=/path/to/python3.11 ...\`." >&2; exit 1; }

# $(call NEW_VENV,folder); Debian without python3-venv has no ensurepip, but its pip can help.
NEW_VENV = "$$python" -m venv --clear $(1) >/dev/null 2>&1 \
	|| { "$$python" -m venv --clear --without-pip $(1) \
	  && "$$python" -m pip --python $(1)/bin/python install -q pip; } \
	|| { echo "$$python cannot make a virtualenv: install its venv module" \
	  "(on Debian: apt-get install python3-venv)." >&2; exit 1; }

# The lock is complete, so nothing is left to resolve; `pip check` proves it.
INSTALL = -m pip install -q --require-hashes --no-deps -r

# The stamp holds the folder it was made in, so that a moved or copied tree is set up anew.
ifneq ($(shell [ -x $(PY) ] && cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): stale
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long bench bench-quick bench-check bench-lock bench-marts bench-scale check format dev notebooks lock wheel-check clean stale

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## Install everything into .venv from the hash-checked lock
	@echo "Ready: $$($(PY) --version) in $(VENV)"

$(STAMP): requirements-dev.lock pyproject.toml
	@set -eu; $(FIND_PYTHON); \
	if [ -e $(STAMP) ] && [ "$$(cat $(STAMP))" != "$(CURDIR)" ] || ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  $(call NEW_VENV,$(VENV)); \
	fi; \
	echo "Installing into $(VENV) (a minute or two the first time) ..."; \
	$(PY) $(INSTALL) requirements-dev.lock; \
	$(PY) -m pip install -q --no-deps --no-build-isolation -e .; \
	$(PY) -m pip check >/dev/null || { $(PY) -m pip check; exit 1; }; \
	printf '%s\n' "$(CURDIR)" > $(STAMP)

stale:

demo: $(STAMP) ## Run the main job on the sandbox: no key, no network
	@$(VENV)/bin/tupana demo

test: $(STAMP) ## Run the tests (ARGS='-k rut' to choose)
	@$(PY) -m pytest -n 2 --dist worksteal $(ARGS)

test-long: $(STAMP) ## Run the tests' long relatives: 300 fault schedules, 10,000 histories, kills, a browser
	@$(PY) -m pytest -n 2 --dist worksteal -m long $(ARGS)

bench: $(STAMP) ## Measure a sync beside floors and peers: an hour (ARGS='--runs 3')
	@$(PY) -m bench.run $(ARGS)

bench-quick: $(STAMP) ## The same for the floors, dlt and the SDK: three minutes
	@$(PY) -m bench.run --quick $(ARGS)

bench-check: $(STAMP) ## bench-quick, and exit 1 when ours lost ground against the reference ratios
	@$(PY) -m bench.run --quick --check $(ARGS)

bench-marts: $(STAMP) ## Measure all models on a million documents (ARGS='--documents 100000')
	@$(PY) bench/marts.py $(ARGS)

bench-scale: $(STAMP) ## Memory and time of a sync of 200,000 documents, phase by phase
	@$(PY) bench/scale.py $(ARGS)

check: $(STAMP) ## Lint, format and types, as CI does
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy

format: $(STAMP) ## Rewrite the code in the house format
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

dev: $(STAMP) ## Open the Dagster UI on this machine (ARGS='-p 3001' to choose a port)
	@$(PY) -m dagster_project.dev $(ARGS)

notebooks: $(STAMP) ## Run every notebook against a fresh demo; saves nothing
	@set -eu; work="$(CURDIR)/$(BUILD)/notebooks"; rm -rf "$$work"; mkdir -p "$$work"; \
	TUPANA_HOME="$$work" $(VENV)/bin/tupana demo >"$$work/demo.log" 2>&1 \
	  || { cat "$$work/demo.log"; exit 1; }; \
	for notebook in notebooks/*.ipynb; do \
	  [ -e "$$notebook" ] || { echo "notebooks/ holds no notebook." >&2; exit 1; }; \
	  echo "$$notebook"; \
	  TUPANA_HOME="$$work/demo" IPYTHONDIR="$$work/ipython" JUPYTER_CONFIG_DIR="$$work/jupyter" \
	    JUPYTER_DATA_DIR="$$work/jupyter" MPLCONFIGDIR="$$work/matplotlib" \
	    $(PY) -c 'from nbclient.cli import main; main()' "$$notebook"; \
	done

# uv resolves for every platform at once; only whoever changes a dependency needs it.
LOCK = $(PY) -m uv pip compile -q --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	--no-strip-extras --custom-compile-command 'make lock' $(ARGS) pyproject.toml

lock: ## Resolve the dependencies again (ARGS=--upgrade for newer ones)
	@set -eu; $(FIND_PYTHON); \
	[ -x $(PY) ] || { $(call NEW_VENV,$(VENV)); }; \
	$(PY) -m pip install -q uv; \
	$(LOCK) -o requirements.lock; \
	$(LOCK) --extra server --group dev --group notebooks --group build -c requirements.lock \
	  -o requirements-dev.lock

# What each peer needs is locked here and installed by the bench, apart from our own.
bench-lock: $(STAMP) ## Resolve the peers' dependencies again (ARGS=--upgrade for newer ones)
	@set -eu; $(PY) -m pip install -q uv; \
	for peer in bench/peers/*; do \
	  $(PY) -m uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-annotate --custom-compile-command 'make bench-lock' $(ARGS) \
	    "$$peer/requirements.in" -o "$$peer/requirements.lock"; \
	done

# Alone in an empty folder with the run-time lock only: the wheel forgets nothing.
wheel-check: $(STAMP) ## Build the wheel and use it as a user would: demo, reports, Dagster
	@set -eu; work="$(CURDIR)/$(BUILD)/wheel"; rm -rf "$$work"; mkdir -p "$$work/empty/dagster"; \
	$(PY) -m pip wheel -q --no-deps --no-build-isolation -w "$$work" .; \
	python=$(PY); $(call NEW_VENV,"$$work/venv"); bin="$$work/venv/bin"; \
	"$$bin/python" $(INSTALL) requirements.lock; \
	"$$bin/python" -m pip install -q --no-deps "$$work"/*.whl; \
	"$$bin/python" -m pip check; \
	cd "$$work/empty"; \
	"$$bin/python" -c 'import pathlib, sys, dagster_project, tupana_etl; \
	  root = pathlib.Path(tupana_etl.__file__).parent; \
	  sql = sorted(root.glob("_sql/*/*.sql")); \
	  print(len(sql), "models in the wheel"); \
	  sys.exit(None if sql and (root / "py.typed").exists() else "the wheel lacks sql/ or py.typed")'; \
	"$$bin/tupana" --help >/dev/null; \
	TUPANA_HOME="$$work/empty/home" "$$bin/tupana" demo >demo.log 2>&1 || { cat demo.log; exit 1; }; \
	for report in receivables factoring; do \
	  TUPANA_HOME="$$work/empty/home/demo" "$$bin/tupana" report $$report; \
	done; \
	DAGSTER_HOME="$$work/empty/dagster" TUPANA_HOME="$$work/empty/home" \
	  "$$bin/dagster" definitions validate -m dagster_project.definitions

clean: ## Remove what the other targets made; never tupana_home
	@rm -rf $(VENV) $(BUILD) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands from a fresh machine with Python 3.11+ and make: `make demo`, `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SDK_VENVS := .venv-sdk
SERVERS := .venv-servers
BROWSER := .venv-browser
AUDIT := .venv-audit
ARGS   ?=
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(2, min(4, os.cpu_count() or 2)))')
COURSES ?= 10000

# Tests start the program hundreds of times; without kept bytecode it compiles all its modules each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fmt lock bench soak audit clean sdk-venvs servers browser

help:  ## Show what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## Create .venv from the lock file, with the command .venv/bin/tenantry

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tenantry needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@echo "Setting up $(VENV) from requirements.lock (a minute the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup  ## Run the main job on real documents; ARGS=--small for a short one
	@$(BIN)/tenantry demo $(ARGS)

# The SDK versions that applications pin cannot share one environment, so each old one has its own.
sdk-venvs: $(SDK_VENVS)/pinecone3/.ready $(SDK_VENVS)/pinecone7/.ready
$(SDK_VENVS)/%/.ready: tests/sdk/%.lock
	@echo "Setting up $(@D) from $<"
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Vector engines weigh a gigabyte and pin much; the tests start them from an environment of their own.
servers: $(SERVERS)/.ready
$(SERVERS)/.ready: tests/servers/servers.lock
	@echo "Setting up $(@D) from $< (1 GB, a minute or two the first time)"
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The dashboard is tried in a real Chromium: the machine's own, or else one that is fetched. Without the network those
# tests skip, and say so, and the next `make test` tries again; in CI they fail.
browser: $(BROWSER)/.ready
$(BROWSER)/.ready: $(READY)
	@mkdir -p $(@D)
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then touch $@; \
	  elif echo "Fetching a headless Chromium into $(@D) (120 MB)"; \
	    PLAYWRIGHT_BROWSERS_PATH=$(CURDIR)/$(@D) timeout 300 $(BIN)/python -m playwright install --only-shell chromium; then touch $@; \
	  else echo "No Chromium could be fetched: install your system's, or the dashboard's tests skip"; fi

test: setup sdk-venvs servers browser  ## Run the whole test-suite; it starts the servers that it needs
	@$(BIN)/python -m pytest -n $(WORKERS) --dist=worksteal $(ARGS)

check: setup  ## Lint, types, layers, docs: what CI runs before the tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/house.py

# In an environment of its own: what audits is no dependency of what is audited.
audit: $(AUDIT)/.ready  ## Look the locked dependencies up among known vulnerabilities
	@$(AUDIT)/bin/python tests/audit/audit.py
$(AUDIT)/.ready: tests/audit/pip-audit.lock
	@echo "Setting up $(@D) from $<"
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

fmt: setup  ## Format the code and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup  ## Measure against peers and limits in one run; see bench/README.md
	@$(BIN)/python -m bench $(ARGS)

soak: setup  ## Longer proofs: wider searches (6 GiB) and COURSES=10000 simulated courses; half an hour
	@echo "Searching the model of a move within wider bounds"
	@$(BIN)/python spec/check.py --full
	@echo "Playing $(COURSES) simulated courses of events, half of them without the comparison that heals"
	@$(BIN)/python tests/simulation/soak.py 100000 $$((100000 + $(COURSES) / 2)) --jobs 2
	@$(BIN)/python tests/simulation/soak.py 200000 $$((200000 + $(COURSES) / 2)) --jobs 2 --without verifying

lock: setup  ## Resolve the lock files anew (needs uv on the PATH)
	uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --group build --group test \
	  --group lint --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra postgres --extra pgvector --extra redis \
	  --extra openai --extra milvus --extra qdrant --extra pinecone --extra s3 --extra otel -c requirements.lock --generate-hashes --no-emit-index-url --no-header --quiet -o deploy/requirements.lock
	for lock in tests/sdk/pinecone3 tests/sdk/pinecone7 tests/servers/servers tests/audit/pip-audit bench/peers; do uv pip compile $$lock.in --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet -o $$lock.lock || exit 1; done

clean:  ## Remove environments, caches and the demo's data
	rm -rf $(VENV) $(SDK_VENVS) $(SERVERS) $(BROWSER) $(AUDIT) .venv-bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache demo-data

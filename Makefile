# Everything a contributor types. `make test` is what CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
STAMP := $(VENV)/.installed-dev
DEMO_STAMP := $(VENV)/.installed
SERVERS := $(VENV)/servers
SERVERS_STAMP := $(SERVERS)/.installed
CHECKED := keysentry tests benchmarks demo
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format bench clean

help:  ## say what there is
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "keysentry needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(DEMO_STAMP): pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[vault]'
	touch $@

$(STAMP): pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[dev]'
	touch $@ $(DEMO_STAMP)

demo: $(DEMO_STAMP)  ## scan a workspace, watch a drop directory, take an incident through a playbook; all forged
	$(BIN)/python demo/make_workspace.py .demo
	@echo; echo '$$ keysentry scan .demo/workspace'
	@$(BIN)/keysentry scan .demo/workspace; code=$$?; [ $$code -le 1 ] || exit $$code
	@echo; $(BIN)/python demo/make_inbox.py .demo
	@echo; echo '$$ keysentry watch --once --config .demo/keysentry.toml'
	@$(BIN)/keysentry watch --once --config .demo/keysentry.toml; code=$$?; [ $$code -le 1 ] || exit $$code
	@echo; echo 'One secret in three places is one incident: $(BIN)/keysentry incidents show --config .demo/keysentry.toml inc_...'
	@echo; $(BIN)/python demo/playbook.py .demo
	@echo; echo 'Every credential above is forged. Next, try it on something of yours: $(BIN)/keysentry scan <folder or Slack export.zip>'

# The platforms that tests talk to are played by servers in JavaScript; Node.js itself came with the Python packages.
$(SERVERS_STAMP): tests/servers/package.json $(STAMP)
	mkdir -p $(SERVERS)
	cp tests/servers/package.json $(SERVERS)/package.json
	cd $(SERVERS) && PATH="$(CURDIR)/$(BIN):$$PATH" npm install --no-audit --no-fund --no-package-lock --loglevel=error
	touch $@

test: lint check  ## lint, types, import contracts and all tests

check: $(STAMP) $(SERVERS_STAMP)  ## the tests alone
	$(BIN)/python -m pytest -n auto --dist loadgroup $(PYTEST_ARGS)

lint: $(STAMP)  ## format, ruff, mypy --strict and the import contracts; all of them, whatever the first ones say
	@failed=0; for tool in 'ruff format --check $(CHECKED)' 'ruff check $(CHECKED)' mypy lint-imports; do \
		echo "$$tool"; $(BIN)/$$tool || failed=1; \
	done; exit $$failed

format: $(STAMP)  ## put the code into shape
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

bench: $(STAMP)  ## measure against other scanners (needs 4 GB of disk and half an hour); see benchmarks/README.md
	$(BIN)/python -m benchmarks.run $(BENCH)

clean:  ## remove everything that was made here
	rm -rf $(VENV) .demo .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

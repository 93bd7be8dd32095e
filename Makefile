# Every target sets up what it needs in .venv; a fresh machine needs only git, make and Python 3.11 or newer.
PYTHON ?= python3
PYTEST_FLAGS ?= -q -n auto --maxprocesses 4 --dist worksteal
BIN := .venv/bin
INSTALLED := .venv/.installed
SYSTEM_PACKAGES := pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins chromium nginx haproxy redis-server

.DEFAULT_GOAL := help
.PHONY: help setup demo docs release-check test test-system test-wheel test-integrations bench format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv and install the project with its development tools

# The stamp is older than pyproject.toml when dependencies may have changed.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) --version); Python 3.11 or newer is needed. Try: make PYTHON=python3.12 setup"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		scripts/install_debian.sh python3-venv
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(INSTALLED) ## Find the speech in a recording and draw it into demo.png
	$(BIN)/streamrnn run vad audio_samples/conversation.flac --plot demo.png

docs: $(INSTALLED) ## Build the documentation as a site, build/docs/index.html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

test: $(INSTALLED) ## Lint, check types and architecture, run the tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

test-system: $(INSTALLED) ## Run the tests that need a sound server, a browser, balancers (installs Debian packages)
	scripts/install_debian.sh $(SYSTEM_PACKAGES)
	$(BIN)/python -m pytest -q -n auto --maxprocesses 2 --dist loadfile -m system

test-wheel: $(INSTALLED) ## Build the wheel and run every command of it alone, without extras
	$(BIN)/python scripts/try_wheel.py

test-integrations: ## Run the tests of integrations against the real packages, each in its own environment (ONLY="wyoming sherpa")
	$(PYTHON) scripts/try_integrations.py $(ONLY)

release-check: $(INSTALLED) ## Build wheel and sdist and try both; check versions, licences and cards
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	$(BIN)/python scripts/check_release.py

bench: $(INSTALLED) ## Measure speed on this machine; `python -m benchmarks` lists the longer ones
	$(BIN)/streamrnn bench step
	$(BIN)/python -m benchmarks train

format: $(INSTALLED) ## Sort imports and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove .venv, caches and what the demo wrote
	rm -rf .venv .venv-integrations build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache demo.png
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What a user and a contributor run. `make demo` and `make test` need Linux, make and
# Python 3.11 or newer; everything else is installed into .venv on first use.

PYTHON ?= python3
ARGS ?=
# Two processes for two cores; a file stays in one, which makes its fixtures once.
WORKERS ?= -n 2 --dist loadfile

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
ZOO := .venv-zoo
SOURCES := edge_ood cli calibration
MADE := build dist demo runs exported

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types build wheel zoo docs reference clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s  %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## Train, export, score and evaluate on photographs of surfaces, into demo/
	$(BIN)/edge-ood demo -o demo --force $(ARGS)

test: $(INSTALLED) ## Run the test suite; ARGS="-k energy" chooses tests
	$(BIN)/python -Im pytest $(WORKERS) $(ARGS)

check: lint types wheel docs ## Lint, types, the test suite against the built wheel, documentation

lint: $(INSTALLED) ## Style, formatting, spelling, project metadata
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/validate-pyproject pyproject.toml

# In the checkout mypy cannot see `edge_ood.cli` and would pass without reading it: only the
# built package has the shape that users import.
types: build ## Strict type check of the built package
	rm -rf build/typed
	$(BIN)/python -Im pip install --quiet --no-deps --target build/typed dist/*.whl
	cd build/typed && ../../$(BIN)/mypy --config-file ../../pyproject.toml \
		--cache-dir ../../.mypy_cache -p edge_ood

build: $(INSTALLED) ## Source distribution and wheel, into dist/
	rm -rf build dist
	$(BIN)/python -Im build

# A new environment holds only the wheel; the path file lends it the packages of .venv, but not
# the editable install. The copied tree has no sources, so what the wheel lacks is missing.
wheel: build ## Run the test suite against the built wheel, without the sources
	rm -rf build/wheel
	mkdir -p build/wheel/exported
	cp -R $(filter-out $(SOURCES) $(MADE) %.egg-info,$(wildcard *)) build/wheel
	cp exported/README.md build/wheel/exported
	$(BIN)/python -m venv build/wheel/venv
	build/wheel/venv/bin/python -Im pip install --quiet --no-deps dist/*.whl
	$(BIN)/python -Ic 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		"$$(build/wheel/venv/bin/python -Ic 'import sysconfig; print(sysconfig.get_path("purelib"))')/lent.pth"
	cd build/wheel && venv/bin/python -Ic 'import edge_ood.cli, sys; \
		print("testing", edge_ood.cli.__file__); \
		sys.exit(not edge_ood.cli.__file__.startswith(sys.prefix))'
	cd build/wheel && venv/bin/python -Im pytest $(WORKERS) -m "not source and not slow and not zoo" $(ARGS)

# An environment of its own, to which the path file lends the packages of .venv: nobody else gets
# TensorFlow.
zoo: $(ZOO)/installed ## Attach to classifiers of ten libraries, for half an hour; ARGS="-k timm" chooses
	$(ZOO)/bin/python -Im pytest -m zoo tests/zoo $(ARGS)

$(ZOO)/installed: $(INSTALLED) tests/zoo/versions.txt
	$(BIN)/python -m venv $(ZOO)
	$(BIN)/python -Ic 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		"$$($(ZOO)/bin/python -Ic 'import sysconfig; print(sysconfig.get_path("purelib"))')/lent.pth"
	$(ZOO)/bin/python -m pip install --disable-pip-version-check --no-compile \
		-c constraints.txt -c tests/zoo/versions.txt -e '.[zoo]'
	touch $(ZOO)/installed

docs: $(INSTALLED) ## Build the documentation, into build/docs/html; a warning is an error
	rm -rf build/docs
	$(BIN)/python -Im sphinx -q -W --keep-going -n -b html -d build/docs/doctrees docs build/docs/html

reference: $(INSTALLED) ## Write docs/cli.md from the commands
	$(BIN)/python -I docs/write_cli_reference.py

clean: ## Remove everything that make made, the environment included
	rm -rf $(VENV) $(ZOO) build dist demo edge_ood.egg-info .mypy_cache .pytest_cache .ruff_cache

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: edge-ood needs Python 3.11 or newer, '$(PYTHON)' is not" >&2; \
		echo "hint: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing into $(VENV): PyTorch is large, this takes about 4 minutes once."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(INSTALLED)

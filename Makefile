# make lab: everything installed in .venv, and JupyterLab open.  make test: the whole suite.
#
#   PYTHON=python3.13        the interpreter to build .venv with
#   VERSIONS=newest          the packages to install: pinned (the default), oldest or newest
#   OPTIONS=--no-browser     options for JupyterLab, and for `make pin`: --upgrade
#   ONLY=03                  the notebooks that `make notebooks` runs

PYTHON ?= $(shell .venv/bin/python -c 'print(".venv/bin/python")' 2>&- || echo python3)
VENV := .venv/bin/python
# Even two cores have time for three: the browser's tests wait a lot.
PYTEST := $(VENV) -m pytest -n 3 --dist loadscope --no-loadscope-reorder
INSTALL = @"$(PYTHON)" tools/install.py
BIOME = npx --yes @biomejs/biome@2.6.8 lint --error-on-warnings

unexport PYTHONDONTWRITEBYTECODE  # or each kernel would compile PyTorch's code anew

.PHONY: lab test lint notebooks site test-portable bench pin install
.DEFAULT_GOAL := lab

install:
	$(INSTALL)

lab: install
	@$(VENV) tools/lab.py $(OPTIONS)

test: install
	@OMP_NUM_THREADS=1 $(PYTEST)

lint: install
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@if command -v npx >/dev/null; then $(BIOME) helpers/panels/web/*.js; \
	else echo "There is no npx here, so the panels' JavaScript was not looked at."; fi

notebooks: install
	@$(VENV) -m tools.notebooks run $(ONLY)

# The notebooks as pages, from their committed outputs: open site/index.html.
site: install
	@$(VENV) -m tools.pages

# The outputs must not depend on the processor's vector units or on the thread count.
test-portable: install
	ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 $(PYTEST) notebooks
	ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1 $(PYTEST) notebooks
	OMP_NUM_THREADS=1 $(PYTEST) notebooks
	OMP_NUM_THREADS=2 $(PYTEST) notebooks
	OMP_NUM_THREADS=8 $(PYTEST) notebooks

# The libraries that the loop is measured beside are an extra of their own.
bench:
	$(INSTALL) bench
	@$(VENV) -m benchmarks

# What requirements.txt pins already stays, unless OPTIONS=--upgrade.
pin:
	@$(or $(wildcard .venv/bin/uv),uv) pip compile -q --system-certs --universal \
		--python-version 3.11 --all-extras --no-annotate pyproject.toml \
		--custom-compile-command 'make pin' -o requirements.txt $(OPTIONS)

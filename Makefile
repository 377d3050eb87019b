# make lab: everything installed in .venv, and JupyterLab open.  make test: the whole suite.
#
#   PYTHON=python3.13        the interpreter to build .venv with
#   TORCH_INDEX=URL          where to look for torch and torchvision first
#   CONSTRAINTS=FILE         the versions to install (empty: the newest allowed)
#   OPTIONS=--no-browser     options for JupyterLab
#   ONLY=03                  the notebooks that `make notebooks` runs

PYTHON ?= $(shell .venv/bin/python -c 'print(".venv/bin/python")' 2>&- || echo python3)
CONSTRAINTS ?= constraints.txt
VENV := .venv/bin/python
export TORCH_INDEX CONSTRAINTS

.PHONY: lab test lint notebooks test-portable bench install
.DEFAULT_GOAL := lab

install:
	@"$(PYTHON)" tools/install.py

lab: install
	@$(VENV) tools/lab.py $(OPTIONS)

test: install
	@$(VENV) -m pytest

lint: install
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .

notebooks: install
	@$(VENV) tools/notebooks.py run $(ONLY)

# The outputs must not depend on the processor's vector units or on the thread count.
test-portable: install
	ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 $(VENV) -m pytest notebooks
	ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1 $(VENV) -m pytest notebooks
	OMP_NUM_THREADS=1 $(VENV) -m pytest notebooks
	OMP_NUM_THREADS=2 $(VENV) -m pytest notebooks
	OMP_NUM_THREADS=8 $(VENV) -m pytest notebooks

bench: install .venv/bench.txt
	@$(VENV) benchmarks/loop.py
	@$(VENV) benchmarks/data.py
	@$(VENV) benchmarks/recipe.py
	@$(VENV) -m benchmarks.panels
	@$(VENV) benchmarks/peers.py

# The libraries that the loop is measured beside; only `make bench` needs them.
.venv/bench.txt: pyproject.toml constraints.txt | install
	@$(VENV) -m pip --disable-pip-version-check install -q -e '.[bench]' \
		$(addprefix -c ,$(CONSTRAINTS))
	@touch $@

# `make demo` and `make test` do everything from a bare checkout, set-up included.
# PYTHON chooses the interpreter of .venv (3.11 or later), JOBS the number of test processes,
# BENCH the benchmark of `make bench`, ARGS what is passed on to pytest or the benchmark.

PYTHON ?= python3
JOBS ?= 2
BENCH ?=
ARGS ?=
GALLERY ?= 1
VENV := .venv
RUN := $(VENV)/bin/python

# Small networks on a few thousand events lose more to thread hand-over than threads bring,
# and JOBS processes with all cores each would fight over them.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help install demo test check lint format bench docs oldest clean

help:
	@echo "make demo    a search on events inside the package; writes a report to demo-output/"
	@echo "make test    all tests and all docstring examples"
	@echo "make check   lint, documentation without running the gallery, and test"
	@echo "make lint    ruff and mypy, changes nothing"
	@echo "make format  ruff, rewrites files"
	@echo "make bench   list the benchmarks; BENCH=name runs one, ARGS='...' go to it"
	@echo "make docs    HTML documentation in docs/_build/html; GALLERY=0 runs no examples"
	@echo "make oldest  tests of six rooms with the oldest versions that pyproject.toml allows"
	@echo "make clean   remove what the other commands wrote, .venv included"
	@echo "All create or reuse $(VENV); PYTHON=python3.12 chooses its interpreter."

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "skad needs Python 3.11 or later; '$(PYTHON)' is not. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "== Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# torch goes first and under the constraints, so that no dependency brings another one.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(RUN)
	@echo "== Installing skad[$*] into $(VENV); the first time takes some minutes"
	@$(RUN) -m pip install --quiet --constraint constraints.txt torch
	@$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@touch $@

install: $(VENV)/.installed-test

demo: install
	@echo "== Running the demo; its report will be $(CURDIR)/demo-output/results/report.html"
	@$(ONE_THREAD) $(RUN) -m skad.demo $(ARGS)

test: install
	@echo "== Running all tests and docstring examples in $(JOBS) processes"
	@$(ONE_THREAD) $(RUN) -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

check:
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory docs GALLERY=0
	@$(MAKE) --no-print-directory test

lint: $(VENV)/.installed-lint
	@echo "== Checking style and types"
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

format: $(VENV)/.installed-lint
	@echo "== Formatting"
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

bench: install
ifeq ($(BENCH),)
	@echo "== Benchmarks; run one with: make bench BENCH=name"
	@for file in benchmarks/*.py; do \
	  [ -e "$$file" ] || continue; \
	  printf '%-20s ' "$$(basename $$file .py)"; \
	  $(RUN) -c 'import ast, sys; print((ast.get_docstring(ast.parse(open(sys.argv[1]).read())) or "").partition("\n")[0])' $$file; \
	done
else
	@echo "== Running benchmarks/$(BENCH).py $(ARGS)"
	@$(RUN) benchmarks/$(BENCH).py $(ARGS)
endif

docs: $(VENV)/.installed-docs
	@echo "== Building docs/_build/html; warnings are errors"
	@$(RUN) -m sphinx -W --keep-going -q -D plot_gallery=$(GALLERY) -b html docs docs/_build/html
	@echo "== Open docs/_build/html/index.html"

# torch stays the tested one: older ones have no build without CUDA on every index.
OLDEST := .venv-oldest
OLDEST_TESTS ?= tests/coordinates tests/density tests/detectors tests/io tests/search tests/resonant
oldest:
	@$(PYTHON) -m venv $(OLDEST)
	@$(PYTHON) .ci/lower_bounds.py plot hep limits ot explain onnx test | grep -v '^torch==' > $(OLDEST)/pins.txt
	@$(OLDEST)/bin/python -m pip install --quiet --constraint constraints.txt torch
	@$(OLDEST)/bin/python -m pip install --quiet --constraint constraints.txt \
	  --constraint $(OLDEST)/pins.txt --editable '.[test]'
	@$(ONE_THREAD) $(OLDEST)/bin/python -m pytest -n $(JOBS) --dist loadgroup $(OLDEST_TESTS) $(ARGS)

clean:
	@echo "== Removing $(VENV), caches, demo-output and built documentation"
	@rm -rf $(VENV) $(OLDEST) build dist *.egg-info .ruff_cache .mypy_cache .pytest_cache .hypothesis demo-output docs/_build docs/api docs/gallery docs/sg_execution_times.rst

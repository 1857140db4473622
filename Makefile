# A bare machine needs Python 3.11 or later and make; everything else is installed here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two test processes on two cores: threads that wait for each other cost more than they give.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1

.PHONY: demo test explore lint docs bench clean

demo: $(VENV)/.demo
	$(BIN)/metasight demo demo/breast-dmfs
	$(BIN)/metasight demo --simulated demo/breast-slides
	$(BIN)/metasight demo --lung demo/lung-scans

test: $(VENV)/.dev lint
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

# Property tests with other examples on every run; `make test` has the same ones each time.
explore: $(VENV)/.dev
	$(BIN)/python -m pytest --hypothesis-profile=explore $$(grep -rl 'import given' tests)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports

# The site, in site/: strict, so that a link or a heading that is not there stops it.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev
	$(BIN)/python bench/metrics.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,deep,biology]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,deep,biology,dev,docs]'
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) demo site

# A bare machine needs Python 3.11 or later and make; everything else is installed here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test explore lint bench clean fresh-kernels

demo: $(VENV)/.demo fresh-kernels
	$(BIN)/metasight demo demo/breast-dmfs
	$(BIN)/metasight demo --simulated demo/breast-slides
	$(BIN)/metasight demo --lung demo/lung-scans

test: $(VENV)/.dev lint fresh-kernels
	$(BIN)/python -m pytest -n 2 --dist loadscope

# Property tests with other examples on every run; `make test` has the same ones each time.
explore: $(VENV)/.dev fresh-kernels
	$(BIN)/python -m pytest --hypothesis-profile=explore $$(grep -rl 'import given' tests)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev fresh-kernels
	$(BIN)/python bench/metrics.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,deep,biology]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,deep,biology,dev]'
	touch $@ $(VENV)/.demo

# numba keeps a compiled kernel although a function that it calls from another file has changed.
fresh-kernels:
	@newest=$$(ls -t src/metasight/models/*.py src/metasight/validation/*.py src/metasight/slides/*.py src/metasight/biomarkers/*.py src/metasight/simulate/*.py src/metasight/features/*.py src/metasight/features/radiomics/*.py src/metasight/volumes/*.py src/metasight/lesions/*.py 2>/dev/null | head -n 1); \
	find src -name '*.nb[ic]' ! -newer "$$newest" -delete

clean:
	rm -rf $(VENV) demo

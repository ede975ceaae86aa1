# `make demo` and `make test` need Python 3.11 or later and nothing else; both live in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet -c tests/constraints.txt

.PHONY: demo test slow check hooks docs clean

demo: .venv/.installed  ## turn the example mels into audio with the embedded model
	$(BIN)/vocoder vocode egs/mels -o out/demo

# One thread for each test process: threads that wait for each other's cores cost minutes.
test: .venv/.tested  ## run the tests
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n auto --dist worksteal

slow: .venv/.tested  ## run the tests that take longer
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n auto --dist worksteal -m slow

hooks: .venv/.tested  ## check every commit before it is made
	$(BIN)/pre-commit install

check: .venv/.tested  ## what CI asks for besides the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.documented  ## build the manual into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet -f docs/mkdocs.yml

clean:
	rm -rf .venv out runs exp site

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(PIP) -e .
	touch $@

.venv/.tested: .venv/.installed
	$(PIP) -e ".[test]"
	touch $@

.venv/.documented: .venv/.installed
	$(PIP) -e ".[docs]"
	touch $@

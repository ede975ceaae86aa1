# `make demo` and `make test` need Python 3.11 or later and nothing else; both live in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs clean

demo: .venv/.installed  ## turn the example mels into audio with the embedded model
	$(BIN)/vocoder vocode egs/mels -o out/demo

test: .venv/.tested  ## run the tests
	$(BIN)/python -m pytest

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
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/.tested: .venv/.installed
	$(BIN)/python -m pip install --quiet -e ".[test]"
	touch $@

.venv/.documented: .venv/.installed
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	touch $@

# make simulate: set up, write the built-in pair of hospitals, run both directions, print the table.
# make test:     set up, then the quality gates: ruff, mypy, import-linter, pytest (make test-slow: the slow ones).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: simulate test test-slow
.DELETE_ON_ERROR:

simulate: .venv/.run
	test -f hospitals/salt-lake.toml || $(BIN)/sitebridge site demo hospitals
	$(BIN)/sitebridge simulate configs/two-sites.toml

test: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest

test-slow: .venv/.test
	$(BIN)/pytest -m slow --timeout 1800

.venv/.run: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/.test: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[embed,records,simulation,test]'
	touch $@ .venv/.run

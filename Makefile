# `make demo` and `make test` are the two commands of the README; both set up their own virtual environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo audit test check clean
demo: $(BIN)/.train
	$(BIN)/netgain run --out runs/demo

audit: $(BIN)/.ok
	$(BIN)/netgain audit --html netgain-audit.html

test: $(BIN)/.dev
	PATH="$(abspath $(BIN)):$$PATH" scripts/check
	PATH="$(abspath $(BIN)):$$PATH" scripts/test

check: $(BIN)/.dev
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'

$(BIN)/.ok: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(BIN)/.train: $(BIN)/.ok
	$(BIN)/python -m pip install -q -e '.[train]'
	@touch $@

$(BIN)/.dev: $(BIN)/.train
	$(BIN)/python -m pip install -q -e '.[train]' --group dev
	@touch $@

clean:
	rm -rf $(VENV) dist build netgain-audit.html runs

# `make demo` and `make test` are the two commands of the README; both set up their own virtual environment first, with
# the versions of the lock, so that a machine of any later day gets what was tested.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOCK := src/netgain/shipped/lock.txt
INSTALL = PATH="$(abspath $(BIN)):$$PATH" scripts/install $(LOCK)
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo audit docs test test-latest test-lowest check lock clean
demo: $(BIN)/.train
	$(BIN)/netgain run --out runs/demo

audit: $(BIN)/.ok
	$(BIN)/netgain audit

test: $(BIN)/.dev
	PATH="$(abspath $(BIN)):$$PATH" scripts/check
	PATH="$(abspath $(BIN)):$$PATH" scripts/test

# The documentation as a site, its notebook executed: build/docs/index.html.
docs: $(BIN)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q

# The contract tests on the newest and the lowest versions that pyproject.toml allows, each in an environment of its own.
test-latest test-lowest:
	$(PYTHON) scripts/contract $(@:test-%=%)

lock: $(BIN)/python
	$(BIN)/python scripts/lock

check: $(BIN)/.dev
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'

$(BIN)/.ok: $(BIN)/python pyproject.toml $(LOCK)
	$(INSTALL) -e .
	@touch $@

$(BIN)/.train: $(BIN)/.ok
	$(INSTALL) -e '.[train]'
	@touch $@

$(BIN)/.dev: $(BIN)/.train
	$(INSTALL) -e '.[train]' --group dev
	@touch $@

$(BIN)/.docs: $(BIN)/.dev
	$(INSTALL) --group docs
	@touch $@

clean:
	rm -rf $(VENV) .venv-latest .venv-lowest dist build netgain-audit*.html runs

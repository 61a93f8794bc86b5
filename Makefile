# Every target is a command of the README. The environment is made here, in .venv, from locked versions.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
RUN := $(BIN)/ratewire

.DEFAULT_GOAL := help
.PHONY: help install run test sim properties fuzz check bench bench-freeradius bench-scale \
	bench-overspend bench-billing soak faults lock clean

help:  ## Show these targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.runtime  ## Make .venv with everything `ratewire` needs
	@echo "ratewire is installed: $(RUN) --help"

run: .venv/.runtime  ## See it work: real servers, a simulated NAS fleet, money running out
	@$(RUN) demo $(ARGS)

test: .venv/.test  ## Run the tests, on real Valkey and Postgres, two files at a time
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

sim: .venv/.test  ## Simulated worlds by seed, until one breaks (tests/simulation/README.md)
	@$(BIN)/python -m tests.simulation $(ARGS)

properties: .venv/.test  ## The properties of rating, at length, and 10,000 sessions against a naive price
	@RATEWIRE_EXAMPLES=20000 RATEWIRE_ORACLE=10000 $(BIN)/python -m pytest tests/rating -q $(ARGS)

fuzz: .venv/.test  ## Hostile datagrams on the decoder, then on a running system (tests/fuzz/README.md)
	@$(BIN)/python -m tests.fuzz engine --seconds 1200 $(ARGS)
	@$(BIN)/python -m tests.fuzz access --seconds 300 $(ARGS)
	@$(BIN)/python -m tests.fuzz listener --seconds 300 $(ARGS)

check: .venv/.check  ## Lint, types, import rules
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-cache > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	@$(BIN)/pyright --warnings

bench: .venv/.test  ## Measure the main job; prints JSON (bench/README.md says how)
	@$(BIN)/python -m bench $(ARGS)

bench-freeradius: .venv/.test  ## The same load on FreeRADIUS + PostgreSQL, where installed; the ratio
	@$(BIN)/python -m bench.freeradius_ratio $(ARGS)

bench-scale: .venv/.test  ## The main job at 1,000 to 1,000,000 open sessions (half an hour)
	@$(BIN)/python -m bench.scale $(ARGS)

bench-overspend: .venv/.test  ## Overspent and stranded credit of simulated fleets, as a table
	@$(BIN)/python -m bench.overspend $(ARGS)

bench-billing: .venv/.test  ## Bill 10,000 accounts under kills and cancellations; then time 100,000
	@$(BIN)/python -m bench.billing_kills
	@$(BIN)/python -m bench.billing_run $(ARGS)

soak: .venv/.test  ## 20 minutes at half load: memory, tables and latency must stay flat
	@$(BIN)/python -m bench.soak $(ARGS)

faults: .venv/.test  ## Kill, stop, slow and fill the real parts under load; compare the books (5 minutes)
	@$(BIN)/python -m bench.faults $(ARGS)

lock: .venv/.check  ## Renew requirements/*.txt from pyproject.toml
	@$(PIP) uv
	@for extra in runtime:embedded test:embedded,test check:embedded,test,check; do \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
			$$(echo $${extra#*:} | tr ',' '\n' | sed 's/^/--extra /') pyproject.toml \
			-o requirements/$${extra%%:*}.txt; done

clean:  ## Remove the environment and caches (the data in var/ stay)
	@rm -rf .venv .ruff_cache build *.egg-info

.venv/.runtime: requirements/runtime.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing ratewire into .venv ..."
	@$(PIP) --require-hashes -r requirements/runtime.txt
	@$(PIP) --no-deps --editable .
	@touch $@

.venv/.test: .venv/.runtime requirements/test.txt
	@$(PIP) --require-hashes -r requirements/test.txt
	@touch $@

.venv/.check: .venv/.test requirements/check.txt
	@$(PIP) --require-hashes -r requirements/check.txt
	@touch $@

# Everything a developer or a CI types. Each command sets up what it needs; a fresh clone needs Python 3.11 or newer.
#
#   make setup PYTHON=python3.13      another interpreter
#   make demo TRACE=day.gpx           a day of your own

PYTHON ?= python3
VENV ?= .venv
TRACE ?=
KEY ?=
OUTPUT ?= demo-output
WORKERS ?= 2

RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: help setup demo cluster-demo test check reference prove prove-doubled bench locked release scan

help:
	@echo "make setup   .venv with everything in it"
	@echo "make demo    watch one day travel through four installs (TRACE=FILE: a GPX file or a recorded trace)"
	@echo "make cluster-demo   kill the processes of a cluster under load, and lose nothing"
	@echo "make test    all checks and all tests"
	@echo "make check   style, types, layers, generated docs"
	@echo "make prove   the large counts: hours"
	@echo "make prove-doubled   the tests of whole stories and of the model, on a road that doubles requests and loses replies"
	@echo "make bench   performance, as ratios"
	@echo "make reference   write docs/reference anew from the code"
	@echo "make locked  write deploy/locked anew: newer packages for containers (needs uv and a package index)"
	@echo "make scan    are there known vulnerabilities in what images install? (needs uv; fails where nobody answers)"
	@echo "make release dist/ with the wheel, the bills of materials and their checksums, signed with KEY=FILE"

setup: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Unbroken needs Python 3.11 or newer, and $(PYTHON) is not that. Name one: make setup PYTHON=python3.12" >&2; \
	    exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null; then \
	    uv pip install --quiet --python $(RUN) --editable '.[dev]'; \
	else \
	    $(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'; \
	fi
	@touch $@

demo: setup
	@$(RUN) -m unbroken demo --output "$(OUTPUT)" $(if $(TRACE),--trace "$(TRACE)")

cluster-demo: setup
	@$(RUN) -m unbroken cluster-demo

test: check
	@$(RUN) -m pytest --numprocesses $(WORKERS) --dist loadgroup --quiet

check: setup
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(RUN) -m tools.reference --check

reference: setup
	@$(RUN) -m tools.reference

prove: setup
	@$(RUN) -m pytest -m prove --numprocesses $(WORKERS) --dist loadgroup -rP

prove-doubled: setup
	@UNBROKEN_TEST_ROAD=doubled $(RUN) -m pytest tests/end_to_end tests/model --numprocesses $(WORKERS) --dist loadgroup --quiet

bench: setup
	@$(RUN) -m bench

LOCK := uv pip compile --quiet --upgrade --generate-hashes --only-binary :all: --python-version 3.13 --python-platform linux \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links

locked:
	@$(LOCK) pyproject.toml --extra server --output-file deploy/locked/server.txt
	@$(LOCK) pyproject.toml --extra server --extra postgres --output-file deploy/locked/server,postgres.txt
	@$(LOCK) pyproject.toml --extra server --extra cluster --output-file deploy/locked/server,cluster.txt
	@echo 'hatchling>=1.25' | $(LOCK) - --output-file deploy/locked/build.txt

scan:
	@for lock in deploy/locked/*.txt; do \
	    uvx pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement "$$lock" || exit 1; \
	done

release: setup
	@$(RUN) -m tools.release dist $(if $(KEY),--key "$(KEY)")

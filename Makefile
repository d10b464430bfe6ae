# Every target prepares the checkout first (scripts/bootstrap): a fresh clone needs nothing else.
.DEFAULT_GOAL := help
STATE_DIR ?= .liftlock
LISTEN ?= 127.0.0.1:8765
PYTEST ?= .venv/bin/pytest
ARGS ?=

.PHONY: help demo up test check bench soak bugzilla-test format docs screenshots clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## the heart of liftlock on a real push, in a few minutes (KEEP=1 leaves it running)
	@scripts/bootstrap run
	@.venv/bin/liftlock demo $(if $(KEEP),--keep) $(ARGS)

up: ## control plane and a local worker in the foreground (STATE_DIR=.liftlock LISTEN=127.0.0.1:8765)
	@scripts/bootstrap run
	@.venv/bin/liftlock up --state-dir $(STATE_DIR) --listen $(LISTEN) --wheelhouse .cache/wheelhouse $(ARGS)

test: ## all tests but the long runs; starts and stops its own PostgreSQL (ARGS="-k scopes")
	@scripts/bootstrap test
	@$(PYTEST) -n 2 --dist loadgroup $(ARGS)

check: ## format, lint, types, imports, budgets, docs in step with the code
	@scripts/bootstrap test
	@scripts/check

bench: ## load on both databases, start-up, latencies; what bounds them, against their goals
	@scripts/bootstrap test
	@.venv/bin/python benchmarks/run.py $(ARGS)

soak: ## long runs: repeated kills, big logs; not part of CI
	@scripts/bootstrap test
	@$(PYTEST) -m soak $(ARGS)

bugzilla-test: ## the recorded walk against a live Bugzilla (BUGZILLA=https://..., keys: see tests/bugzilla_walk.py)
	@scripts/bootstrap test
	@.venv/bin/python tests/bugzilla_walk.py $(BUGZILLA)

format: ## let the formatter and the linter's safe fixes change the files
	@scripts/bootstrap test
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

docs: ## write the parts of docs/ that are made from the code
	@scripts/bootstrap test
	@.venv/bin/python scripts/cli_reference.py
	@.venv/bin/python scripts/api_reference.py
	@.venv/bin/python scripts/configuration_reference.py
	@.venv/bin/python scripts/compatibility.py
	@.venv/bin/python scripts/attack_list.py

screenshots: ## the pictures in docs/images/, of every page
	@scripts/bootstrap test
	@.venv/bin/python scripts/screenshots.py

clean: ## forget environments and caches; a state directory stays
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

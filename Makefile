# Paths are relative throughout: make cannot quote the blanks in a folder's name.
PYTHON ?= python3

.PHONY: env demo test lint lock schema

# The environment in .venv, from .ci/requirements.lock; nothing is done, and nothing fetched, if it is up to date.
env:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here: install Python 3.11 or later."; exit 1; }
	@$(PYTHON) .ci/make_env.py env

# Everything on this machine, at 127.0.0.1:8000 or PORT=
demo: env
	@.venv/bin/exam demo $(if $(PORT),--port $(PORT))

# On servers of its own, beside a running demo; ARGS= for pytest
test: env
	@.venv/bin/python -m pytest -n auto -m "not slow" $(ARGS)

lint: env
	@.venv/bin/ruff check .
	@.venv/bin/mypy

# Anew from pyproject.toml; known versions stay unless UPGRADE=1
lock:
	@UPGRADE=$(UPGRADE) $(PYTHON) .ci/make_env.py lock

# sql/schema.sql anew, after a migration was added
schema: env
	@EXAM_WRITE_SCHEMA=1 .venv/bin/python -m pytest -q tests/test_sql.py -k migrations_give

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow long lint

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[test]'
	touch $@

demo: .venv/installed  # trains a character model of English, then shows where its results are
	$(BIN)/python launch.py train --config=experiments/char_lm.py

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: .venv/installed
	$(BIN)/python -m pytest -m slow --durations=40

long: .venv/installed
	$(BIN)/python -m pytest -m long

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

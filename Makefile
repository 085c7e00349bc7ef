# One environment, .venv, serves every target; it is remade when its inputs change.
# To choose the interpreter by hand: make setup PYTHON=/path/to/python3.13

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3.13 python3.12 python3
PIP_INSTALL = $(BIN)/python -m pip --disable-pip-version-check -qq install -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint docs validate clean

help: ## print the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: $(VENV)/.installed ## make .venv with everything needed to run, test and lint

demo: $(VENV)/.installed ## fit, scenarios and a report on the embedded example
	@$(BIN)/dotwin demo

test: $(VENV)/.installed ## run the tests
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.installed ## check style, format, types and the order of the rooms
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@log=$$($(BIN)/lint-imports 2>&1) || { printf '%s\n' "$$log"; exit 1; }

docs: $(VENV)/.installed-docs ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

validate: $(VENV)/.installed ## compare with published answers and with peers
	@$(BIN)/python benchmarks/validate.py
	@$(BIN)/python -m benchmarks.counterfactual

clean: ## remove what the other targets wrote, except .venv
	@rm -rf out site build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -path ./$(VENV) -prune -o -path ./.git -prune -o \
		-type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# An interpreter's name on the PATH proves nothing: a version manager leaves names that fail, and
# some systems ship Python without venv. So every candidate has to run, in every PATH entry.
$(VENV)/.installed: pyproject.toml constraints.txt
	@usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))'; \
	if ! $(BIN)/python -c "$$usable" 2>/dev/null; then \
		python=; seen=; \
		for name in $(PYTHON); do \
			case $$name in */*) places=$$(dirname "$$name");; *) places=$$PATH;; esac; \
			IFS=:; for place in $$places; do unset IFS; \
				file=$${place:-.}/$$(basename "$$name"); \
				[ -x "$$file" ] && [ ! -d "$$file" ] || continue; \
				if "$$file" -c "$$usable" >/dev/null 2>&1; then python=$$file; break 2; fi; \
				found=$$("$$file" -c 'import sys; print("Python %d.%d.%d" % sys.version_info[:3])' 2>/dev/null) \
					|| found="does not run"; \
				case $$found in "Python 3.1"[2-9]*) found="$$found without venv or ensurepip";; esac; \
				seen="$$seen\n  $$file: $$found"; \
			done; unset IFS; \
		done; \
		if [ -z "$$python" ]; then \
			printf 'dotwin needs Python 3.12 or 3.13 with the venv module. Looked for: %s. Found:%b\n' \
				'$(PYTHON)' "$${seen:- none}" >&2; \
			printf 'Install one, or name it: make setup PYTHON=/path/to/python3.13\n' >&2; \
			exit 1; \
		fi; \
		"$$python" -m venv --clear $(VENV); \
	fi
	@$(PIP_INSTALL) -e ".[dev]"
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@$(PIP_INSTALL) -e ".[dev,docs]"
	@touch $@

# Every target sets itself up: the first one makes .venv and installs what constraints.txt pins.
#
#   make demo    makes a small clip, enlarges it 2.5 times, and draws demo/compare.png
#   make test    runs all tests
#   make check   what CI runs: format, lint, types, tests (which build and try the wheel)
#   make lint, make types, make clean

# Idle OpenMP threads sleep instead of spinning: on a busy machine torch is several times faster.
export OMP_WAIT_POLICY := PASSIVE

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SCALE := 2.5

.PHONY: check clean demo lint test types
.DELETE_ON_ERROR:

check: lint types test

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy --strict

test: $(READY)
	$(BIN)/python -m pytest

demo: $(READY)
	mkdir -p demo
	$(BIN)/python tests/media.py demo/clip.mp4
	$(BIN)/ciaovideo demo/clip.mp4 demo/clip-x$(SCALE).mp4 --scale $(SCALE) --overwrite
	$(BIN)/python tests/demo.py demo/clip.mp4 demo/clip-x$(SCALE).mp4 demo/compare.png
	@echo "Look at demo/compare.png, then play demo/clip-x$(SCALE).mp4."

clean:
	rm -rf $(VENV) build demo dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

# uv where it is on PATH; else the first Python that is new enough. An environment that exists is
# kept if it is new enough and can install packages.
$(READY): pyproject.toml constraints.txt
	@set -e; \
	new_enough='import sys; sys.exit(sys.version_info < (3, 12))'; \
	if command -v uv >/dev/null 2>&1; then \
	    $(BIN)/python -c "$$new_enough" 2>/dev/null \
	        || uv venv --clear --python '>=3.12' $(VENV); \
	    install='uv pip install --python $(BIN)/python'; \
	else \
	    if ! { $(BIN)/python -c "$$new_enough" && $(BIN)/python -c 'import pip'; } 2>/dev/null; then \
	        python=; \
	        for name in python3 python3.14 python3.13 python3.12 python; do \
	            if $$name -c "$$new_enough" 2>/dev/null; then python=$$name; break; fi; \
	        done; \
	        if [ -z "$$python" ]; then \
	            echo "ciaovideo needs Python 3.12 or newer, and none is on PATH." >&2; \
	            echo "Install one (python.org, your system's packages, or uv), then run" \
	                "make again." >&2; \
	            exit 1; \
	        fi; \
	        echo "Making $(VENV) with $$($$python --version)"; \
	        $$python -m venv --clear $(VENV); \
	    fi; \
	    install='$(BIN)/python -m pip install --quiet --disable-pip-version-check'; \
	fi; \
	echo "Installing torch, PyAV and the tools: several GB the first time, some minutes"; \
	$$install -c constraints.txt -e '.[test]'
	@touch $@

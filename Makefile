# Every target sets itself up: the first one makes .venv and installs what constraints.txt pins.
#
#   make demo    makes a small clip, enlarges it 2.5 times, and draws demo/compare.png
#   make test    runs the tests, as many at once as there are cores
#   make quick   runs the light ones of single parts: a minute
#   make check   what CI runs: format, lint, types, and the tests in several surroundings
#   make lint, make types, make clean

# Idle OpenMP threads sleep instead of spinning: on a busy machine torch is several times faster.
export OMP_WAIT_POLICY := PASSIVE

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SCALE := 2.5
# Each worker holds torch, some hundred MB: no more than 8 on the largest machine.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

.PHONY: check clean demo lint quick test types
.DELETE_ON_ERROR:

check: lint types
	.ci/tests

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy --strict

# What is long and comes out the same on every machine is left to `make check`.
test: $(READY)
	$(PYTEST) -m 'not thorough or gpu'

quick: $(READY)
	$(PYTEST) -m 'not slow and not heavy and not thorough' tests/test_*.py tests/unit tests/contract

demo: $(READY)
	mkdir -p demo
	$(BIN)/python -m tests.media demo/clip.mp4
	$(BIN)/ciaovideo demo/clip.mp4 demo/clip-x$(SCALE).mp4 --scale $(SCALE) --overwrite
	$(BIN)/python tests/demo.py demo/clip.mp4 demo/clip-x$(SCALE).mp4 demo/compare.png
	@echo "Look at demo/compare.png, then play demo/clip-x$(SCALE).mp4."

clean:
	rm -rf $(VENV) build demo dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

# uv where it is on PATH; else the first Python that is new enough. An environment that exists is
# kept if it is new enough and can install packages, unless its last set-up was cut off: then the
# packages in it may be halves, and it is made anew.
EXTRAS := vapoursynth,ffmpeg,train,cluster
$(READY): pyproject.toml constraints.txt
	@set -e; \
	began=$$(date +%s); \
	say() { echo "[$$(($$(date +%s) - began)) s] $$*"; }; \
	new_enough='import sys; sys.exit(sys.version_info < (3, 12))'; \
	clear=; \
	if [ -e $(VENV)/.unfinished ]; then \
	    say "The last set-up was cut off: beginning again"; clear=--clear; \
	fi; \
	say "Setting up $(VENV). With torch for CUDA it takes 6 GB of disk, and some minutes"; \
	if command -v uv >/dev/null 2>&1 && uv pip install --help 2>&1 | grep -q -e --group; then \
	    if [ -n "$$clear" ] || ! $(BIN)/python -c "$$new_enough" 2>/dev/null; then \
	        uv venv --clear --python '>=3.12' $(VENV); \
	    fi; \
	    install='uv pip install --quiet --python $(BIN)/python'; \
	else \
	    if [ -n "$$clear" ] \
	        || ! { $(BIN)/python -c "$$new_enough" && $(BIN)/python -c 'import pip'; } 2>/dev/null; \
	    then \
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
	        say "Making $(VENV) with $$($$python --version)"; \
	        $$python -m venv --clear $(VENV); \
	    fi; \
	    install='$(BIN)/python -m pip install --quiet --disable-pip-version-check'; \
	fi; \
	touch $(VENV)/.unfinished; \
	part() { \
	    say "Installing $$1"; shift; \
	    $$install -c constraints.txt "$$@" || { rm -f $(VENV)/.unfinished; exit 1; }; \
	}; \
	case $$install in uv*) ;; *) part "pip 25.1 or newer" 'pip>=25.1' ;; esac; \
	part "torch (the largest)" 'torch>=2.6'; \
	part "ciaovideo, PyAV and what they need" -e '.[$(EXTRAS)]'; \
	part "the tools of the tests" --group test; \
	rm -f $(VENV)/.unfinished; \
	say "Done: $$(du -sh $(VENV) | cut -f1) in $(VENV)"
	@touch $@

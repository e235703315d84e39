# The whole house from one place. `make run` and `make test` need Python >= 3.11, make and a network, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file is told by one process, and the longest are begun first: tests/support/longest_first.py.
SPREAD := --dist loadfile --no-loadscope-reorder

.PHONY: run page test check format bench torture soak fuzz lock clean

run: $(VENV)/run.done
	@exec $(BIN)/python -m server dev

# Quick when nothing changed. `make run` does it by itself, beside the server that is already up.
page: $(VENV)/run.done
	@$(BIN)/python -m server page

# What Debian brings and what PyPI and npm bring is fetched side by side.
test:
	@$(MAKE) --no-print-directory --jobs 2 programs tested-page
	$(BIN)/python -m pytest --numprocesses 4 $(SPREAD) $(ARGS)

check: $(VENV)/test.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 $(SPREAD) tests/unit tests/property tests/house $(ARGS)

format: $(VENV)/test.done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/test.done page
	$(BIN)/python -m tests.bench $(ARGS)

torture: $(VENV)/test.done
	$(BIN)/python -m tests.scenarios.torture --kills 200 $(ARGS)

# Half an hour with 5,000 clients; ARGS="--minutes 2 --clients 300" is a short one.
soak: $(VENV)/test.done
	$(BIN)/python -m tests.scenarios.soak $(ARGS)

FUZZ_S ?= 300
fuzz: $(VENV)/test.done
	FUZZ_S=$(FUZZ_S) $(BIN)/python -m pytest tests/fuzz $(ARGS)

# Browser tests need a real browser, and what is said of several processes is tested with a real Redis. Where one is missing and we
# may install Debian's, we do; otherwise we say what to do.
.PHONY: programs
programs:
	@missing=""; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| missing="chromium fonts-liberation"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	[ -z "$$missing" ] \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -yqq $$missing >/dev/null; } \
	|| { echo "The tests need $$missing. Install them (Debian: apt-get install $$missing) and run make test again." >&2; exit 1; }

.PHONY: tested-page
tested-page: $(VENV)/test.done
	@$(BIN)/python -m server page

$(VENV)/python.done:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; $(PYTHON) is older. Say which: make run PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The locks are whole: pip has nothing to resolve, and, where it does, prefers whatever was released since.
$(VENV)/run.done: $(VENV)/python.done requirements.lock
	@echo "Installing what is needed into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/test.done: $(VENV)/python.done requirements-test.lock
	@echo "Installing what the tests need into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-test.lock
	@touch $@ $(VENV)/run.done

# Needs uv. The locks carry hashes and no addresses.
lock:
	uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock
	uv pip compile pyproject.toml --extra trace --universal --generate-hashes --no-emit-index-url --no-header --quiet -o requirements-trace.lock
	uv pip compile pyproject.toml --extra test --extra trace --universal --generate-hashes --no-emit-index-url --no-header --quiet -o requirements-test.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/artifacts tests/wire/node_modules tests/wire/types/node_modules web/node_modules web/dist*

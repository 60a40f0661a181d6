# Two commands on a fresh machine: `make demo` and `make test`. Everything else is for those who change the code.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
WORKERS ?= 3

# Programs that are started often would compile this project's modules each time, where the environment forbids to keep
# what was compiled.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-long lint tests other-pythons coverage mutation bench dist packages node images debian lock runtime whole peers clean

# Both install into $(VENV), the second over the first, and end at once if everything is there.
runtime:
	@PYTHON=$(PYTHON) sh install.sh --editable $(VENV)
whole:
	@PYTHON=$(PYTHON) sh install.sh --whole --editable $(VENV)

demo: runtime
	$(BIN)/trust demo

peers:
	@sh tests/peers/install.sh

lint: whole
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What is independent runs side by side: many tests wait, so two cores have time for three workers and the rest.
test:
	@$(MAKE) --no-print-directory -j2 whole peers
	@$(MAKE) --no-print-directory -j3 -o whole -o peers lint tests other-pythons

tests: whole peers
	$(BIN)/pytest -n $(WORKERS) -m "not long"

other-pythons: whole
	@sh tests/other_pythons.sh $(BIN)/python $(VENV)

test-long: test debian
	$(BIN)/pytest -n $(WORKERS) -m long
	@sh tests/other_pythons.sh $(BIN)/python $(VENV) all
	@$(MAKE) --no-print-directory coverage mutation

# Branches, in the programs that the tests start too. Below its floor a package fails.
coverage: whole peers
	rm -f .coverage .coverage.*
	$(BIN)/pytest -q -n $(WORKERS) -m "not long" $(COVERED_BY) --cov --cov-report=
	$(BIN)/coverage report --skip-covered --include='keys/*' --fail-under=100
	$(BIN)/coverage report --skip-covered --include='trustdata/*' --fail-under=100
	$(BIN)/coverage report --skip-covered --include='trustserver/*' --fail-under=90
	$(BIN)/coverage report --skip-covered --include='trustcli/*' --fail-under=90
# Journeys that start whole programs whose command lines nothing else reads; all of them would take as long as the rest.
STARTED := $(addprefix journeys/test_,agent admission delete hook_proxy image_verifier prune trust_login)
COVERED_BY := $(addprefix tests/,unit attacks properties vectors golden contracts $(addsuffix .py,$(STARTED)))

mutation: whole
	$(BIN)/python -m tests.mutation

bench: whole peers
	$(BIN)/python -m tests.benchmarks

# What users install. The same bytes wherever and whenever they are built, for one Debian and one Python: what builds is
# locked, and everything in it has one date.
dist:
	rm -rf dist
	@$(MAKE) --no-print-directory packages
	@$(MAKE) --no-print-directory -o whole node images

# Wheel, source distribution and a lock that names the wheel with what it runs on.
packages: whole
	rm -f dist/content_trust-* dist/requirements.lock
	SOURCE_DATE_EPOCH=1580601600 $(BIN)/hatchling build --directory dist --target sdist --target wheel
	printf 'content-trust==%s %s\n' "$$($(BIN)/hatchling version)" "$$($(BIN)/python -m pip hash dist/*.whl | tail -1)" > dist/requirements.lock
	sed '/^# What builds/,$$d' requirements.lock >> dist/requirements.lock

# For machines without Python.
node: whole
	sh release/node.sh $(BIN) dist

# Container images, out of Debian's newest packages and of what `packages` has left.
images: whole debian
	sh release/images.sh $(BIN) dist
debian:
	sh release/debian.sh $(VENV)/debian.tar

# Both locks again, in the versions that they hold where those still fit; newer ones with UPGRADE=--upgrade. It needs uv,
# which `make whole` has installed, but not a lock that fits pyproject.toml: that is what it makes.
UV         ?= $(BIN)/uv
UV_COMPILE = $(UV) pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet
lock:
	$(UV_COMPILE) $(UPGRADE) --extra dev --output-file requirements-dev.lock pyproject.toml
	echo '# What runs.' > $(VENV)/requirements.lock
	$(UV_COMPILE) --constraint requirements-dev.lock pyproject.toml >> $(VENV)/requirements.lock
	echo '# What builds this project, and is not installed beside it.' >> $(VENV)/requirements.lock
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  > $(VENV)/build.in
	$(UV_COMPILE) --constraint requirements-dev.lock $(VENV)/build.in >> $(VENV)/requirements.lock
	mv $(VENV)/requirements.lock requirements.lock
	sh release/extras.sh $(UV) $(PYTHON) > $(VENV)/requirements-extras.lock
	mv $(VENV)/requirements-extras.lock requirements-extras.lock

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis mutants

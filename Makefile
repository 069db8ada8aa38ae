# Everything a developer runs. Each target sets up what it needs in .venv first; git, make, python3 and pip suffice.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --resume-retries 20 --constraint constraints.txt
# Qt loads these when it opens a window; a display is made by Xvfb where there is none.
LIBRARIES := xvfb libegl1 libgl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 \
	libxcb-keysyms1 libxcb-render-util0 libxcb-xinerama0 libxcb-shape0 libdbus-1-3

.PHONY: demo test test-viewer view lint docs bench all slow wheel clean libraries

## Train, predict, segment, trace and score on a small piece of real tissue; look at demo/index.html.
demo: .venv/core
	$(BIN)/segkit demo demo

## The default tests: every part but windows, in under three minutes on two cores.
test: .venv/all libraries
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

## The tests of the viewer, in real windows.
test-viewer: .venv/all libraries
	$(BIN)/python -m pytest -m "viewer and not slow" --numprocesses logical --maxprocesses 4 --dist worksteal tests/napari

## The tests that take long: kills, memory, wheels, real clusters.
slow: .venv/all libraries
	$(BIN)/python -m pytest -m slow

## The result of the demo in napari.
view: .venv/all libraries
	@test -e demo/run/run.json || $(MAKE) demo
	$(BIN)/segkit view examples/data/fib25/fib25_crop.h5:raw demo/segmentation.zarr demo/traces

lint: .venv/all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/all
	$(BIN)/mkdocs build --strict --quiet

bench: .venv/all
	for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

all: lint docs test test-viewer demo

wheel: .venv/all
	$(BIN)/python -m build --wheel

clean:
	rm -rf .venv demo dist site

.venv/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	touch $@

.venv/core: .venv/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

# pyside6-essentials holds the part of Qt that napari uses, a third of the download.
.venv/all: .venv/core
	$(PIP) --editable ".[all,traces-teasar]" pyside6-essentials --group test --group lint --group docs
	touch $@

libraries:
	@if command -v xvfb-run >/dev/null && ldconfig -p 2>/dev/null | grep -q libxcb-cursor.so.0; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing the libraries that the viewer needs"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(LIBRARIES) >/dev/null; \
	else \
		echo "The viewer's system libraries are missing; its tests will be skipped. To install them:"; \
		echo "    sudo apt-get install -y $(LIBRARIES)"; \
	fi

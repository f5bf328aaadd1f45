# Everything runs in .venv, which the first target makes. Nothing needs root or a system package.
#
#   make demo       read the sample photo through TorchServe
#   make test       the whole suite            make test-fast  without slow tests and servers
#   make lint       ruff and mypy              make format     let ruff rewrite
#   make bench      speed tables               make clean      remove what make made
#
# PYTHON=python3.12 chooses the interpreter. TORCH_INDEX=https://download.pytorch.org/whl/cpu takes
# PyTorch without its CUDA libraries, a far smaller download for machines without a GPU.

VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PACKAGES := ocr_models ocrserve train handlers archives
CHECKED := $(wildcard $(PACKAGES) tests bench)

# The first interpreter that starts, is new enough, and can make environments.
find_python = for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$name; break; }; done
PYTHON ?= $(shell $(find_python))
TORCH_INDEX ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-fast lint format bench clean install
.DEFAULT_GOAL := demo

install: $(STAMP)

# torch comes first and alone: everything after it then keeps the build that was chosen here.
$(STAMP): pyproject.toml setup.py constraints.txt
	@if [ ! -x $(RUN) ]; then \
		if [ -z "$(PYTHON)" ]; then \
			echo "Python 3.11 or newer (with its venv module) was not found; set PYTHON=..." >&2; \
			exit 1; \
		fi; \
		echo "making $(VENV) with $(PYTHON)"; \
		$(PYTHON) -m venv $(VENV); \
	fi
	$(RUN) -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) \
		-c constraints.txt torch
	$(RUN) -m pip install --quiet -c constraints.txt -e '.[serve,fast,train,dev]'
	@touch $@

demo: $(STAMP)
	$(RUN) -m ocrserve.demo

test: $(STAMP)
	$(RUN) -m pytest

test-fast: $(STAMP)
	$(RUN) -m pytest -m 'not slow and not server'

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy $(CHECKED)

format: $(STAMP)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(STAMP)
	$(RUN) -m bench

clean:
	rm -rf $(VENV) build dist *.egg-info demo_out model_store/*.mar logs
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find $(PACKAGES) tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

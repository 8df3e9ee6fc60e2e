# Everything runs in .venv, which the first target that needs it makes from Python 3.11 or newer and pip.
# torch is the one large download; constraints.txt says how to get its small CPU build.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where `make bench` keeps the Kodak pictures, and our qualities there: every fifth, for smooth curves.
KODAK := benchmarks/kodak
QUALITIES := 0,5,10,15,20,25,30,35,40,45,50,55,60,65,70,75,80,85,90,95,100
# Stamps: an install is repeated only when what it depends on has changed.
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
BENCH_STAMP := $(VENV)/.installed-bench
# What `pip install neuralcodec` gives, without any extra.
LIGHT := .venv-light
LIGHT_STAMP := $(LIGHT)/.installed
# CompressAI asks for packages that do not go together with ours, so its tests have an environment of their own.
ZOO := .venv-compressai
ZOO_STAMP := $(ZOO)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-light test-compressai fuzz lint bench figures man clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN_STAMP) ## encode the sample images and compare with JPEG
	@$(BIN)/python benchmarks/demo.py $(ARGS)

test: $(DEV_STAMP) ## run the tests (ARGS="-k name" for some of them)
	$(BIN)/python -m pytest $(ARGS)

test-light: $(LIGHT_STAMP) ## run the tests of the package without torch, in an environment of their own
	$(LIGHT)/bin/python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is not None)'
	$(LIGHT)/bin/python -m pytest tests/test_without_torch.py $(ARGS)

test-compressai: $(ZOO_STAMP) ## run the tests against CompressAI, in an environment of their own
	$(ZOO)/bin/python -m pytest tests/coding/test_compressai.py tests/entropy/test_against_compressai.py tests/bench/test_zoo.py $(ARGS)

fuzz: $(DEV_STAMP) ## fuzz the container and the decoder (ARGS=-max_total_time=600: for so long each)
	@if ! $(BIN)/python -m pip install --quiet 'atheris>=3.0'; then \
		echo "make fuzz: atheris cannot be installed here, so nothing was fuzzed" >&2; exit 0; \
	fi; \
	for target in container decoder; do \
		$(BIN)/python fuzz/fuzz.py $$target $(or $(ARGS),-max_total_time=30 -verbosity=0 -print_final_stats=1) || exit 1; \
	done

lint: $(DEV_STAMP) ## check style, types, and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(BENCH_STAMP) ## compare all codecs on Kodak, which it fetches, or on FOLDER=photos [OUT=folder]
	@test -n "$(FOLDER)" || $(BIN)/python benchmarks/kodak.py $(KODAK)
	@$(BIN)/ncodec bench "$(or $(FOLDER),$(KODAK))" --against jpeg,webp,avif,avif-s4,jxl,jxl-e9 --subset 6 --model conv,gru --qualities $(QUALITIES) \
		--out "$(or $(OUT),benchmarks/results/$(notdir $(abspath $(or $(FOLDER),$(KODAK)))))" $(ARGS)

figures: $(BENCH_STAMP) ## draw the README's figures anew from the results of make bench
	@$(BIN)/python benchmarks/figures.py $(ARGS)

man: $(DEV_STAMP) ## write the manual page ncodec.1 from the help
	$(BIN)/argparse-manpage --module neuralcodec.cli.arguments --function parser --project-name neuralcodec \
		--format single-commands-section --manual-title 'ncodec' --description 'a learned image codec' --output ncodec.1

clean: ## remove what builds, tests and the demo leave behind (keeps .venv)
	rm -rf ncodec.1 demo-out build dist .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
	find benchmarks src tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: Python 3.11 or newer is needed; name it with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[torch]'
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(RUN_STAMP)

$(BENCH_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	@touch $@ $(RUN_STAMP)

# Not editable, so that what is tested is what a wheel has in it.
$(LIGHT_STAMP): pyproject.toml constraints.txt $(shell find src -name '*.py' -o -name '*.onnx' -o -name '*.json')
	$(PYTHON) -m venv $(LIGHT)
	rm -rf build  # whatever an earlier build left there would be in the wheel
	$(LIGHT)/bin/python -m pip install --quiet --constraint constraints.txt . 'pytest>=8' 'pytest-timeout>=2.3'
	@touch $@

# Of CompressAI and torchvision only the Python is used beside our release of torch; their own pins would replace it.
$(ZOO_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(ZOO)
	$(ZOO)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]' \
		'pytest>=8' 'pytest-timeout>=2.3' einops pandas requests 'torch-geometric>=2.3' tqdm
	$(ZOO)/bin/python -m pip install --quiet --no-deps torchvision==0.16.2 compressai==1.2.8
	@touch $@

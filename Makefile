# One word a job. 'make demo' and 'make test' need nothing but Python 3.11+, a C++20 compiler and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CORE_SOURCES := $(shell find csrc -name '*.cpp' -o -name '*.hpp') CMakeLists.txt pyproject.toml
SHELL := /bin/bash

FUZZ_CXX ?= clang++-14
FUZZ_SECONDS ?= 60
comma := ,
TOOLS = PATH="$(abspath $(BIN)):$$PATH"

# The core alone, without Python, in build/$(1) with the options $(2).
define core
$(TOOLS) cmake -S . -B build/$(1) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCRYSTAL_PYTHON=OFF $(2) && $(TOOLS) cmake --build build/$(1) --parallel 2
endef

.PHONY: help demo build test lint format bench performance evidence lab kernels faults asan tsan fuzz clean
.DEFAULT_GOAL := help

help: ## what each word does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.built ## set up if needed, then analyse the ladder that ships (no torch)
	@$(BIN)/crystal demo --out demo-report

build: ## compile the core again and install the checkout, editable
	@rm -f $(VENV)/.built
	@$(MAKE) --no-print-directory $(VENV)/.built

test: $(VENV)/.dev ## set up if needed, then every test once
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.dev ## style, types, floors of the house, C++ format and analysis
	@BIN=$(BIN) .ci/lint

format: $(VENV)/.dev ## rewrite sources in the house style
	$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/clang-format -i $$(git ls-files 'csrc/*.?pp')

performance: $(VENV)/.dev ## time everything with crystal bench, into docs/performance.md (minutes)
	@$(PIP) install --requirement .ci/requirements-bench.txt
	$(BIN)/python -m benchmarks.performance

bench: $(VENV)/.dev ## benchmarks beside their peers
	@$(PIP) install --requirement .ci/requirements-bench.txt
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-only

evidence: $(VENV)/.dev ## error rates on truth, written to docs/evidence.md (hours; SECTIONS=... for some)
	$(BIN)/python -m benchmarks.evidence $(SECTIONS)

lab: $(VENV)/.dev ## small language models taken through post-training, seven controls, five seeds (hours; goes on where it was)
	$(BIN)/crystal lab --out lab-runs --control all --seeds 0,1,2,3,4

kernels: $(VENV)/.dev ## compile the Triton kernels, check and tabulate their code, run their tests in full (no GPU needed)
	TRITON_CACHE_DIR=$(abspath build/triton) $(BIN)/python -m crystal.kernels.compiled --output $(or $(TABLE),kernels/compiled.md)
	CRYSTAL_FULL_GRID=1 $(BIN)/python -m pytest -n 2 tests/kernels tests/ops -k "not compiled_table and (kernels or token or curve)"

faults: $(VENV)/.dev ## the fault tests at full size: killed while writing, disk full, damaged and hostile files (minutes)
	CRYSTAL_FULL_FAULTS=1 $(BIN)/python -m pytest -n 2 tests/hostile tests/test_atomic_write.py tests/states tests/readers tests/sampling tests/lab -k "hostile or killed or full_disk or distributions"

asan: $(VENV)/.python ## the core's own tests under the address and undefined-behaviour sanitizers
	@$(call core,$@,-DCRYSTAL_CORE_TESTS=ON -DCRYSTAL_SANITIZE=address$(comma)undefined)
	@$(TOOLS) UBSAN_OPTIONS=halt_on_error=1 ctest --test-dir build/asan --output-on-failure

tsan: $(VENV)/.python ## the core's own tests under the thread sanitizer
	@$(call core,$@,-DCRYSTAL_CORE_TESTS=ON -DCRYSTAL_SANITIZE=thread)
	@$(TOOLS) TSAN_OPTIONS=halt_on_error=1 ctest --test-dir build/tsan --output-on-failure

fuzz: $(VENV)/.python ## each fuzzer of the core for a minute (FUZZ_SECONDS=...); Clang with libFuzzer
	@echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' | \
		$(FUZZ_CXX) -x c++ - -fsanitize=fuzzer,address -o /dev/null 2>/dev/null || { echo "make fuzz needs Clang with libFuzzer ($(FUZZ_CXX) has none): on Debian and Ubuntu the packages clang-14 and libclang-rt-14-dev (or FUZZ_CXX=another clang++)"; exit 1; }
	@$(call core,$@,-DCRYSTAL_FUZZ=ON -DCMAKE_CXX_COMPILER=$(FUZZ_CXX) -DCRYSTAL_SANITIZE=fuzzer-no-link$(comma)address$(comma)undefined)
	@for name in $(basename $(notdir $(wildcard tests/fuzz/*.cpp))); do \
		mkdir -p build/fuzz/corpus/$$name && echo "fuzzing $$name for $(FUZZ_SECONDS) seconds" && \
		UBSAN_OPTIONS=halt_on_error=1 build/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 -verbosity=0 -print_funcs=0 -print_final_stats=1 \
			-artifact_prefix=build/fuzz/$$name- build/fuzz/corpus/$$name tests/fuzz/seeds/$$name || exit 1; \
	done

clean: ## remove what was built and installed here
	rm -rf $(VENV) build demo-report

$(VENV)/.python:
	@PYTHON=$(PYTHON) .ci/preflight
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --requirement .ci/requirements-build.txt
	@touch $@

$(VENV)/.built: $(VENV)/.python $(CORE_SOURCES)
	@echo "building crystal (about a minute)"
	@PATH="$(abspath $(BIN)):$$PATH" $(PIP) install --no-build-isolation --editable . --config-settings=cmake.define.CRYSTAL_WERROR=$(if $(CI),ON,OFF)
	@touch $@

$(VENV)/.dev: $(VENV)/.built .ci/requirements-dev.txt .ci/constraints.txt
	@$(PIP) install --requirement .ci/requirements-dev.txt --constraint .ci/constraints.txt
	@touch $@

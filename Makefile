# One command runner. Every target makes the environment first; `make demo` and `make test` need nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# annoy compiles with -march=native by default: a cached wheel would then die on another processor.
export ANNOY_COMPILER_ARGS := -O3,-ffast-math,-fno-associative-math,-std=c++14
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export DO_NOT_TRACK := 1

.PHONY: setup demo test test-slow lint docs bench bench-embed bench-flow bench-dedup bench-audit bench-filter bench-certificates bench-labelling bench-bias bench-search bench-dashboard bench-overhead encoder lock clean

setup: $(READY)

# Where a registry offers CPU builds of torch apart, TORCH_INDEX=<its address> takes them from there.
$(READY): pyproject.toml constraints.txt infra/prepare.sh
	@infra/prepare.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/sluice demo

# In two processes of about the same length, which two cores make nearly twice as fast.
HALF := tests/tasks tests/flows/checks tests/flows/commands tests/flows/planning tests/test_quality.py

test: $(READY)
	@$(BIN)/python -m pytest -q $(HALF) & other=$$!; \
	$(BIN)/python -m pytest -q $(HALF:%=--ignore=%); here=$$?; \
	wait $$other && exit $$here

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: bench-embed bench-flow bench-dedup bench-audit bench-filter

bench-embed: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_embed

bench-flow: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_flow

bench-dedup: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_dedup $(if $(PEERS),--peers $(PEERS))
	$(BIN)/python -m tests.benchmarks.bench_increment

bench-audit: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_audit $(if $(PEERS),--peers $(PEERS))

# What must hold of the filter: learning curves and speed, then certificates, then the labelling page.
# POOLS: a folder with the pools clipart/ and emoji-noto/ and their labels; without it only planted classes are run.
bench-filter: bench-certificates bench-labelling
	$(BIN)/python -m tests.benchmarks.bench_filter $(if $(POOLS),--pools $(POOLS))

bench-certificates: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_certificates

bench-labelling: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_labelling

# The audit of words and of term groups, weights on simulated filters and their speed, coverage of every interval.
# PEERS: a Python that has polars and pyspark; FULL=1: as many draws as the README's figures; POOLS: real pools.
bench-bias: bench-audit
	$(BIN)/python -m tests.benchmarks.bench_association
	$(BIN)/python -m tests.benchmarks.bench_weights $(if $(FULL),--seeds 20 --samples 10000 20000 --speed 1000000)
	$(BIN)/python -m tests.benchmarks.planted_association
	$(BIN)/python -m tests.benchmarks.bench_coverage $(if $(FULL),--draws 1000)
	$(BIN)/python -m tests.benchmarks.comparison_coverage $(if $(FULL),--draws 1000)
	$(if $(POOLS),$(BIN)/python -m tests.benchmarks.weight_tables $(POOLS)/emoji-noto $(POOLS)/emoji-noto-labels.csv romance)

# Generated images against a million training images: exact, and with the index.
bench-search: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_search

# A lake of a million samples: each page's answers, then ten users at once beside a writer.
bench-dashboard: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_dashboard

# The flow with a Prefect server against the bare functions, 50,000 samples.
bench-overhead: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_overhead

# The documentation, into site/; its reference is made from the code.
docs: $(READY)
	$(BIN)/python -m flows.commands.reference_pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Trains the demo's encoder again, and measures it: POOL is a drawn demo pool, CLIPART a pool of public-domain clip-art.
encoder: $(READY)
	$(BIN)/python -m infra.demo.train_encoder $(POOL) $(CLIPART)
	$(BIN)/python -m infra.demo.measure_encoder $(POOL) $(CLIPART)

# Writes what is installed now to the lock; run after changing a dependency on purpose.
lock: $(READY)
	$(BIN)/pip freeze --exclude-editable | sed -E 's/\+cpu$$//' | grep -v '^sluice' > constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info

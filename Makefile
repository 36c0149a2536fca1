# make tables   set everything up and fill every table at the scale of config/config.yaml
# make evidence the first reading of whether reusing g_v helps, on Fashion-MNIST; READING=full the full one
# make test     set everything up and run the tests; PYTEST='-m ""' runs the slow ones too
# make lint     style, types and the workflow's own checks
# make bench    speed and memory as ratios, measured side by side

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# or torch_tpu, where it is installed and there is no TPU, lets the first backward pass hang
export TORCH_DEVICE_BACKEND_AUTOLOAD := 0

# of `make evidence`: what to lay over config/config.yaml, and where Debian's package has the images
READING ?= first
EVIDENCE_first := config/evidence-first.yaml
EVIDENCE_full := config/evidence.yaml
EVIDENCE = $(EVIDENCE_$(READING))
FASHION := data/fashion-mnist
FASHION_PACKAGE := /usr/share/datasets/fashion-mnist

# what Snakemake says of a lock names no command that works here
STUDY = snakemake --cores all --quiet host rules reason $(LAID_OVER) -- reports/all_tables.html || { \
	test -z "$$(ls .snakemake/locks 2>/dev/null)" || \
	echo "Was one that worked here killed? Then: .venv/bin/snakemake --unlock, and the same command goes on."; \
	exit 1; \
}

.PHONY: tables evidence test lint bench

tables: .venv/pipeline
	@$(STUDY)
	@echo
	@echo "The report: $(CURDIR)/reports/all_tables.html"

evidence: LAID_OVER = --configfile $(EVIDENCE)
evidence: .venv/pipeline
	@test -n '$(EVIDENCE)' || { echo "unknown READING '$(READING)'; known: first, full"; exit 1; }
	@test -e $(FASHION) || { test -d $(FASHION_PACKAGE) && mkdir -p data && ln -sfn $(FASHION_PACKAGE) $(FASHION); } || { \
		echo "No Fashion-MNIST in $(FASHION): apt-get install dataset-fashion-mnist, or put its four IDX files there by hand."; \
		exit 1; \
	}
	@echo "If this is interrupted, the same command goes on from there: make evidence READING=$(READING)"
	@$(STUDY)
	@echo
	@echo "The report: $(CURDIR)/reports/all_tables.html"

test: .venv/dev
	pytest $(PYTEST)

lint: .venv/dev
	ruff check looksam tests examples
	ruff format --check looksam tests examples
	mypy
	snakefmt --check Snakefile workflow
	tests/lint_workflow.sh

bench: .venv/dev
	@for file in tests/benchmarks/*.py; do \
		printf '\n== %s: ' $$file; sed -n '1s/"""//gp' $$file; \
		python $$file || exit 1; \
	done

# an editable install, so that the commands run the code that the Snakefile takes fingerprints of
.venv/pipeline: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "looksam needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version); try make PYTHON=python3.12"; exit 1; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --editable '.[pipeline]'
	touch $@

.venv/dev: .venv/pipeline
	.venv/bin/python -m pip install --quiet --editable '.[pipeline,dev,trainers,peers]'
	touch $@

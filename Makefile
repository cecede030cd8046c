MODEL ?= flight_delay
PERIOD ?= 2013-11
FROM ?= 2013-03
TO ?= 2013-12
REVIEW ?= auto
PYTHON ?=
FAULT ?=
ENV ?=
COVERAGE ?=

BIN = .venv/bin
# The Python that set-up runs with; every target below first brings its environment up to date, which is quick.
set_up = @python=$$(sh include/laptop/setup/find_python.sh "$(PYTHON)") && "$$python" include/laptop/setup/environments.py
# Not with the settings of pyproject.toml: those are about uv.lock.
UV = .venv-uv/bin/uv pip compile --no-config --quiet --generate-hashes --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup run backfill up down test coverage test-slow chaos lint bench backtest package aws-smoke lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install everything that make test needs
	$(set_up) dev

run: ## Retrain MODEL=flight_delay on PERIOD=2013-11 end to end; REVIEW=manual waits for your approval
	@python=$$(sh include/laptop/setup/find_python.sh "$(PYTHON)") && "$$python" -m include.laptop.setup.arguments run "$(MODEL)" "$(PERIOD)" "$(REVIEW)"
	$(set_up) run
	@$(BIN)/python -m include.laptop.run "$(MODEL)" "$(PERIOD)" "$(REVIEW)"

backfill: ## Retrain MODEL=flight_delay on every month FROM=2013-03 TO=2013-12, with Airflow's backfill; deploys nothing
	@python=$$(sh include/laptop/setup/find_python.sh "$(PYTHON)") && "$$python" -m include.laptop.setup.arguments backfill "$(MODEL)" "$(FROM)" "$(TO)"
	$(set_up) run
	@$(BIN)/python -m include.laptop.backfill "$(MODEL)" "$(FROM)" "$(TO)"

up: ## Start Airflow and the local SageMaker and leave them running (AIRFLOW_PORT, SAGEMAKER_PORT)
	$(set_up) run
	@$(BIN)/python -m include.laptop.stack up

down: ## Stop what make up started
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m include.laptop.stack down; else echo "Nothing was running."; fi

test: ## Run the tests, without the slow ones; COVERAGE=1 measures them and fails below the floor of each product
	$(set_up) dev
	@rm -rf .local/coverage
	@$(BIN)/python -m $(if $(COVERAGE),coverage run -m) pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile
	@$(if $(COVERAGE),$(BIN)/python -m coverage combine --quiet)
	@for floor in $(if $(COVERAGE),plugins:92 include/sagemaker_local:86 include/laptop:75); do \
		$(BIN)/python -m coverage report --include="$${floor%:*}/*" --fail-under="$${floor#*:}" || exit 1; \
	done

coverage: ## make test COVERAGE=1
	@$(MAKE) --no-print-directory test COVERAGE=1

test-slow: ## Run the slow tests: releases, backfills and traffic shifting for minutes, fuzzing; a browser where there is Chromium
	$(set_up) dev
	@$(BIN)/python -m pytest -m slow

chaos: ## Kill, throttle and interfere, and check that the runs survive; FAULT=kill_worker for one (docs/faults.md)
	$(set_up) dev
	@$(BIN)/python -m tests.chaos $(FAULT)

lint: ## Check style, types, layers and the models' YAML
	$(set_up) dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m sagemaker_retraining lint

bench: ## Measure the local SageMaker and write .local/bench.json
	$(set_up) run
	@$(BIN)/python -m benchmarks

backtest: ## AUC of MODEL month by month, each trained on the months before it
	$(set_up) run
	@.venv-jobs/bin/python include/models/$(MODEL)/backtest.py

package: ## Build what goes to production in ENV=prod into dist/: for MWAA, Astronomer and any other Airflow
	$(set_up) run
	@$(BIN)/python -m include.laptop.package "$(ENV)"

aws-smoke: ## The smallest full chain on the real SageMaker of ENV=prod, recorded; asks before it spends (docs/aws-smoke.md)
	$(set_up) run
	@$(BIN)/python -m include.aws_smoke "$(ENV)"

lock: ## Resolve the locks anew from pyproject.toml and requirements-jobs.txt
	$(set_up) dev
	@.venv-uv/bin/uv lock
	@.venv-uv/bin/uv export --quiet --frozen --only-group installer -o locks/uv.txt
	@pins=$$(sed -n 's/^-c //p' requirements-jobs.txt) && \
		$(UV) --universal --python-version $$(sed -n 's/^# Locked for Python \(3\.[0-9]*\).*/\1/p' $$pins) requirements-jobs.txt -o locks/jobs.txt
	@$(UV) --universal --python-version 3.11 deploy/mwaa/image.txt -o locks/mwaa.txt

clean: down ## Stop everything and remove the environments and all local state
	rm -rf dist .venv .venv-jobs .venv-uv .local .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Everything that is done with this project. Each target works on a fresh clone: it makes `.venv`, and `.venv-aws` for the
# embedded AWS, whose botocore clashes with ours, from the pinned requirements.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
FRAMES ?=
STAGE ?= dev
DATA ?= keep
TEST_ARGS ?=

PIP_INSTALL = -m pip install -qq --disable-pip-version-check --require-hashes -r
COMPILE = CUSTOM_COMPILE_COMMAND="make requirements" build/pip-tools/bin/pip-compile --quiet --generate-hashes \
	--allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: help serve demo test acceptance screenshots lint format bench package deploy undeploy e2e requirements clean .venv .venv-aws

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 14

serve: .venv/installed .venv-aws/installed ## Run everything on HOST:PORT until interrupted; state in .local
	@exec .venv/bin/python -m local serve --host "$(HOST)" --port "$(PORT)" --create-key

demo: .venv/installed .venv-aws/installed ## Make a timelapse of frames, or of your own: make demo FRAMES=folder
	@exec .venv/bin/python -m local demo $(if $(FRAMES),--frames "$(FRAMES)")

test: .venv/installed ## Run the tests
	.venv/bin/python -m pytest -n 2 --dist worksteal $(TEST_ARGS)

acceptance: .venv/installed .venv-aws/installed ## Use a running server as people and programs do: browser, streams, the API's document
	.venv/bin/python -m pytest acceptance --durations=5 $(TEST_ARGS)

screenshots: .venv/installed .venv-aws/installed ## Make the pictures in docs/images anew, of a server with made content
	.venv/bin/python -m acceptance.screenshots

lint: .venv/installed ## Check style, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/installed ## Format the code and mend what can be mended automatically
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/installed .venv-aws/installed ## Run every benchmark
	.venv/bin/python -m benchmarks

package: .venv/installed ## Package the functions and their layers for STAGE into build/package, and prove that they work
	rm -rf build/package
	find chalicelib -name __pycache__ -type d -prune -exec rm -rf {} +
	PYTHONDONTWRITEBYTECODE=1 AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} .venv/bin/chalice package --stage "$(STAGE)" \
		--merge-template .chalice/resources.json build/package
	.venv/bin/python -m deployment.slim build/package/deployment.zip
	.venv/bin/python -m deployment.layer timelapse build/package/timelapse-layer.zip
	.venv/bin/python -m deployment.layer pipeline build/package/pipeline-layer.zip
	.venv/bin/python -m deployment.bundle build/package

deploy: .venv/installed ## Package STAGE and create or update its stack; PARAMETERS="Name=value ..." change what is given
	.venv/bin/python -m deployment.deploy --stage "$(STAGE)" --check
	$(MAKE) --no-print-directory package
	.venv/bin/python -m deployment.deploy --stage "$(STAGE)" build/package

undeploy: .venv/installed ## Remove the stack of STAGE; its data stay, unless DATA=delete
	@.venv/bin/python -m deployment.undeploy --stage "$(STAGE)" --data "$(DATA)"

e2e: package .venv-aws/installed ## Deploy the package to the embedded AWS, use it over HTTP, remove it
	.venv/bin/python -m deployment.e2e build/package

requirements: ## Pin the newest releases that the requirements-*.in files allow
	$(PYTHON) -m venv build/pip-tools
	build/pip-tools/bin/python -m pip install -qq --disable-pip-version-check pip-tools==7.6.2
	$(COMPILE) --upgrade --output-file requirements.txt requirements.in
	$(COMPILE) --upgrade --output-file requirements-timelapse.txt requirements-timelapse.in
	$(COMPILE) --upgrade --output-file requirements-pipeline.txt requirements-pipeline.in
	$(COMPILE) --upgrade --output-file requirements-dev.txt requirements-dev.in
	$(COMPILE) --upgrade --output-file requirements-aws.txt requirements-aws.in

clean: ## Remove what was built and installed; .local, the state of your server, stays
	rm -rf .venv .venv-aws build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv: .venv/installed

.venv-aws: .venv-aws/installed

.venv/installed: requirements-dev.txt
	@echo "installing the development requirements into .venv"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP_INSTALL) requirements-dev.txt
	@touch $@

.venv-aws/installed: requirements-aws.txt
	@echo "installing the embedded AWS into .venv-aws"
	@$(PYTHON) -m venv .venv-aws
	@.venv-aws/bin/python $(PIP_INSTALL) requirements-aws.txt
	@touch $@

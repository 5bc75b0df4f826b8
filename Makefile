# Everything a person or CI does here. Needs Python 3.11 or newer and make; the rest is fetched into .tools and .venv.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow soak lambda-tools web-dev web-build web-test bench bench-peers bench-web cost scale lint format lock openapi package synth deploy destroy redrive rehearse smoke
BIN := .venv/bin
# Images for containers like to set this; each of the many processes here would then compile all it imports anew.
export PYTHONDONTWRITEBYTECODE :=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything into .venv
	@sh local/setup.sh sync

run: ## the whole system on http://127.0.0.1:8000 (PORT=… for another)
	@sh local/setup.sh sync --inexact --no-default-groups --group chat_stream --group local
	@sh web/build.sh run
	@exec $(BIN)/python -m local

test: setup ## the tests, with the coverage of functions/ (ARGS=… goes to pytest); the web client's, too, where Node is
	@sh web/build.sh test
	@$(BIN)/pytest -n 2 --dist loadgroup -m "not slow" --cov=functions --cov-report=term --cov-fail-under=90 $(ARGS)

test-slow: setup ## the tests that take minutes: a real browser, the packages under AWS's own tools, LiteLLM, fuzzing, every order of delivery
	@sh web/build.sh run
	@$(BIN)/pytest -n 2 --dist loadgroup -m slow $(ARGS)

lambda-tools: setup ## what tests/lambda needs: the Lambda Web Adapter (built with cargo), AWS's emulator; into .tools
	@$(BIN)/python -m tests.support.function.tools

soak: setup ## mixed traffic with faults at random, for 20 minutes (ARGS='--seconds 60'), then what must hold
	@$(BIN)/python -m tests.soak $(ARGS)

web-dev: ## the web client with hot reload on http://127.0.0.1:5173, over the API of `make run` (API=… for another)
	@sh web/build.sh dev

web-build: ## build the web client into web/dist; fails when its JavaScript is over budget
	@sh web/build.sh build

web-test: ## lint, build and test the web client
	@REQUIRE_BROWSER=1 sh web/build.sh test

bench-web: setup web-build ## the web client's figures: renders per token, long tasks, the passage, sizes
	@$(BIN)/python -m tests.e2e.web.bench $(ARGS)

cost: setup ## what a turn costs on AWS, from the code and AWS's prices; writes docs/cost.md
	@$(BIN)/python -m bench.cost

scale: setup ## where a deployment breaks first as streams grow; writes docs/scale.md
	@$(BIN)/python -m bench.scale

bench: setup ## the speed of the product beside a floor and its like, about five minutes (ARGS=--quick: two)
	@$(BIN)/python -m bench $(ARGS)

bench-peers: setup ## the same with LiteLLM's proxy and the Vercel AI SDK, which it installs into .tools/bench
	@$(BIN)/python -m bench --peers $(ARGS)

lint: setup ## ruff and mypy, as CI runs them
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

openapi: setup ## write docs/openapi.json anew after a change of the API
	@$(BIN)/python -m local.openapi_file

lock: ## write uv.lock anew after a change of pyproject.toml
	@sh local/setup.sh lock

# --- AWS: STAGE names the deployment, ARGS goes to cdk (ARGS='-c region=eu-central-1 -c defaultModel=gpt-5') -----------------
STAGE ?= prod
CDK := infra/node_modules/.bin/cdk
CONTEXT = -c stage=$(STAGE) $(ARGS)

package: setup ## each function's zip for Lambda, in dist/lambda (ARGS='--arch x86_64' for the other)
	@$(BIN)/python -m infra.package $(ARGS)

synth: setup $(CDK) ## the CloudFormation template, in cdk.out: needs no account
	@$(CDK) synth --quiet $(CONTEXT)

deploy: setup $(CDK) ## deploy to the AWS account of the environment
	@$(BIN)/python -m infra.preflight $(ARGS)
	@sh web/build.sh build
	@$(CDK) deploy $(CONTEXT)

destroy: setup $(CDK) ## take the deployment down; keeps the data, unless it was made with -c ephemeral=true
	@$(BIN)/python -m infra.preflight $(ARGS)
	@$(CDK) destroy $(CONTEXT)

redrive: setup ## put the dead letters back into the queue (ARGS='--region … --at-most 1')
	@$(BIN)/python -m infra.redrive --stage $(STAGE) $(ARGS)

rehearse: setup $(CDK) ## deploy to MiniStack, a local AWS, and check what works there; needs Python 3.13
	@$(BIN)/python -m tests.rehearsal

smoke: setup ## check a deployment from outside: URL=https://… TOKEN=…
	@URL='$(URL)' TOKEN='$(TOKEN)' $(BIN)/python -m infra.smoke --stage $(STAGE) $(ARGS)

$(CDK): infra/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20 or newer, with npm, is needed for CDK and was not found; install it and run make again." >&2; exit 1; }
	@cd infra && npm ci --no-fund --no-audit --loglevel=error
	@touch $(CDK)

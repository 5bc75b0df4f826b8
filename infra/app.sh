#!/bin/sh
# What cdk.json runs: the CDK app, in the environment of `make setup`, which is made first where it is missing (a fresh clone).
set -eu
cd "$(dirname "$0")/.."

if [ ! -x .venv/bin/python ]; then
    sh local/setup.sh sync >&2
fi
JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=18,20 exec .venv/bin/python -m infra.app

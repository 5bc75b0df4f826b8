#!/bin/sh
# Runs uv with the arguments given, on a machine that may have nothing but Python: finds a Python, fetches uv if it is missing.
set -eu
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# The first Python that is new enough. A name on the path may be a shim for nothing, so each is asked.
find_python() {
    for name in ${UV_PYTHON:-} python3.13 python3.12 python3.11 python3.14 python3 python; do
        case $name in [0-9]*) name=python$name ;; esac
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    fail "Python 3.11 or newer is needed and was not found; install it (Debian, Ubuntu: apt install python3 python3-venv) and run make again."
}

# uv of the machine, or one of our own in .tools.
find_uv() {
    if command -v uv >/dev/null 2>&1; then
        command -v uv
        return
    fi
    if [ ! -x .tools/bin/uv ]; then
        echo "Fetching uv $UV_VERSION into .tools (once)…" >&2
        rm -rf .tools/bin .tools/include .tools/lib .tools/lib64 .tools/pyvenv.cfg # not what else was put beside it
        "$1" -m venv .tools >&2 ||
            fail "Python's venv module does not work here (Debian, Ubuntu: apt install python3-venv); install it, or uv itself, and run make again."
        .tools/bin/python -m pip install --quiet --no-input --disable-pip-version-check "uv==$UV_VERSION" >&2 ||
            fail "uv could not be fetched from PyPI: the network or a proxy is in the way. Run make again, or install uv yourself."
    fi
    echo .tools/bin/uv
}

python=$(find_python)
uv=$(find_uv "$python")

export UV_PYTHON="$python" UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv
unset VIRTUAL_ENV
# The machine's own certificates, where it has some: a company's proxy is known to them only.
if [ -e /etc/ssl/certs/ca-certificates.crt ] || [ "$(uname)" = Darwin ]; then
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
fi
# A home that is not there has no cache either.
if [ ! -w "${HOME:-/nonexistent}" ]; then
    export UV_CACHE_DIR="$PWD/.tools/cache"
fi

case $1 in
sync)
    shift
    [ ! -x .venv/bin/python ] || exec "$uv" sync --locked --quiet "$@"
    echo "Installing the locked dependencies into .venv with $("$python" --version) (once)…" >&2
    exec "$uv" sync --locked "$@"
    ;;
lock) exec "$uv" lock ;;
*) fail "usage: setup.sh sync [OPTION…] | lock" ;;
esac

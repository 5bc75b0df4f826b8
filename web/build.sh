#!/bin/sh
# Builds and tests the web client where Node is new enough. `run` and `test` make do without Node; `build` and `dev` ask for it.
set -eu
cd "$(dirname "$0")"
asked=$1

has_node() {
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null &&
        command -v npm >/dev/null 2>&1
}

install() {
    if [ -e node_modules/.package-lock.json ] && [ ! package-lock.json -nt node_modules/.package-lock.json ]; then
        return
    fi
    echo "Installing the web client's packages (once)…" >&2
    npm ci --no-fund --no-audit --no-update-notifier --loglevel=error >&2
}

# Whether the built client is there and nothing it is made of has changed since.
is_fresh() {
    [ -e dist/index.html ] &&
        [ -z "$(find src public index.html package-lock.json vite.config.ts -newer dist/index.html 2>/dev/null | head -n 1)" ]
}

if ! has_node; then
    case $asked in
    run) exit 0 ;; # the API runs without a client
    test)
        [ "${REQUIRE_BROWSER:-}" = 1 ] || {
            echo "No Node 20.19 or newer here: the web client is neither built nor tested." >&2
            exit 0
        }
        ;;
    esac
    echo "The web client needs Node 20.19 or newer, with npm." >&2
    exit 1
fi

case $asked in
run)
    is_fresh && exit 0
    # Without a network there is nothing to build with; what was built before, or the plain page, is served.
    { install && echo "Building the web client…" >&2 && npx vite build --logLevel error >&2; } ||
        echo "The web client could not be built; the API runs without it." >&2
    ;;
build)
    install
    npm run --silent build
    ;;
test)
    install
    npm run --silent lint
    npm run --silent build
    npm test --silent
    ;;
dev)
    install
    exec npm run --silent dev
    ;;
*)
    echo "usage: build.sh run | build | test | dev" >&2
    exit 2
    ;;
esac

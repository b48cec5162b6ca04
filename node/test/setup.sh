#!/bin/sh
# Installs what the tests of the npm package need by the lock file: sse 0.0.8, frameworks, TypeScript, and
# the Nodes that the package is for. Looks for Node.js with npm, which it does not install.
set -eu
cd "$(dirname "$0")"

command -v npm >/dev/null || {
    echo 'the tests of the npm package need Node.js 20.11 or later with npm: https://nodejs.org' >&2
    exit 1
}
cmp -s package-lock.json node_modules/.installed && exit
npm ci --no-audit --no-fund
cp package-lock.json node_modules/.installed

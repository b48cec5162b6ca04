#!/bin/sh
# Makes sure that the browser tests can run: looks for Node.js with npm, which it does not install;
# installs Debian's Chromium, unless CHROMIUM names a browser, and the packages of the lock file.
set -eu
cd "$(dirname "$0")"

browser='chromium fonts-dejavu-core'

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

is_new_enough() { # a version such as v20.11.0
    major=${1#v}
    minor=${major#*.}
    major=${major%%.*}
    minor=${minor%%.*}
    [ "$major" -gt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -ge 11 ]; }
}

need_node() {
    fail "the browser tests need Node.js 20.11 or later with npm, but $1" \
        "install the packages nodejs and npm (Debian 13 or later), or take both from https://nodejs.org"
}

check_node() {
    command -v node >/dev/null || need_node 'there is no node'
    version=$(node --version) || need_node 'node does not run'
    is_new_enough "$version" || need_node "node is $version"
    command -v npm >/dev/null || need_node 'there is no npm'
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_browser() {
    # shellcheck disable=SC2086 # a list of words
    command -v apt-get >/dev/null &&
        as_root apt-get update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $browser
}

find_browser() {
    if [ -n "${CHROMIUM-}" ]; then
        [ -x "$CHROMIUM" ] || fail "CHROMIUM is $CHROMIUM, which is no program that can be run"
        return
    fi
    [ -x /usr/bin/chromium ] || install_browser || fail \
        "the browser tests need Chromium: install the packages $browser," \
        'or set CHROMIUM to the path of a Chromium or Chrome'
}

install_packages() {
    cmp -s package-lock.json node_modules/.installed && return
    npm ci --no-audit --no-fund
    cp package-lock.json node_modules/.installed
}

check_node
find_browser
install_packages

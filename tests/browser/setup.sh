#!/bin/sh
# Makes sure that there is a browser for the tests: the one that CHROMIUM names, or Debian's.
set -eu

packages='chromium fonts-dejavu-core'

if [ -n "${CHROMIUM-}" ]; then
    [ -x "$CHROMIUM" ] && exit 0
    echo "CHROMIUM is $CHROMIUM, which is no program that can be run" >&2
    exit 1
fi

[ -x /usr/bin/chromium ] && exit 0

if [ "$(id -u)" -eq 0 ]; then
    root=''
else
    root='sudo -n'
fi

# shellcheck disable=SC2086 # both are lists of words
if command -v apt-get >/dev/null &&
    $root apt-get update &&
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y --no-install-recommends $packages; then
    exit 0
fi

echo "the browser tests need Chromium: install the packages $packages," >&2
echo 'or set CHROMIUM to the path of a Chromium or Chrome' >&2
exit 1

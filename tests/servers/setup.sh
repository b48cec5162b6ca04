#!/bin/sh
# Makes sure that the tests of logs that hubs share can run: installs Debian's redis-server where it is
# missing. Debian may start one of its own; the tests start others, with sockets and folders of their own.
set -eu

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_servers() {
    command -v apt-get >/dev/null &&
        as_root apt-get update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server
}

command -v redis-server >/dev/null || install_servers || {
    echo 'the tests of shared logs need redis-server: install the package redis-server' >&2
    exit 1
}

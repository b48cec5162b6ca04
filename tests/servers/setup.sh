#!/bin/sh
# Makes sure that the tests of logs that hubs share can run: installs Debian's redis-server, nats-server and
# iproute2 where they are missing. Debian may start servers of its own; the tests start others, with ports and
# folders of their own.
set -eu

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

is_there() {
    command -v redis-server && command -v nats-server && command -v ip
}

install_servers() {
    command -v apt-get >/dev/null &&
        as_root apt-get update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            redis-server nats-server iproute2
}

PATH="$PATH:/usr/sbin:/sbin"
is_there >/dev/null || install_servers || {
    echo 'the tests of shared logs need redis-server, nats-server and ip: install the packages' \
        'redis-server, nats-server and iproute2' >&2
    exit 1
}

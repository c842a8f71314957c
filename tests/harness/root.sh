#!/bin/sh
# Makes the root of another Debian, for machines with another systemd and Python:
#
#   sh root.sh SUITE ROOT CHECKOUT
#
# ROOT is made once, by debootstrap, and its environment /opt/aap/.venv anew when the
# checkout's dependencies change. Nothing of it is started here but pip, in a chroot.

set -eu
umask 022

# What a machine of the tests needs, and what builds systemd-python.
packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,iproute2,procps,sudo
packages=$packages,python3,python3-venv,python3-dev,gcc,libc6-dev,pkg-config,libsystemd-dev
packages=$packages,bash-completion,ca-certificates,curl,man-db

suite=$1 root=$2 checkout=$3

make_root() {
    rm -rf --one-file-system "$root.new"
    mkdir -p "$root.new"
    debootstrap --variant=minbase --include="$packages" "$suite" "$root.new" \
        ${AAP_DEBIAN_MIRROR:+"$AAP_DEBIAN_MIRROR"}
    echo "$packages" > "$root.new/.packages"
    rm -rf --one-file-system "$root"
    mv "$root.new" "$root"
}

make_environment() {
    wanted=$(cat "$checkout/pyproject.toml" "$checkout"/packaging/lock/*.txt | sha256sum)
    [ "$(cat "$root/opt/aap/.made" 2> /dev/null)" = "$wanted" ] && return
    rm -rf --one-file-system "$root/opt/aap"
    mkdir -p "$root/opt/aap"
    tar -C "$checkout" --exclude=./.venv --exclude=./.git --exclude='./.*cache' -cf - . |
        tar -C "$root/opt/aap" --no-same-owner -xf -
    # The names and the certificates of the network that this machine is in.
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    in_root python3 -m venv /opt/aap/.venv
    # As scripts/setup does it.
    for what in "--require-hashes -r packaging/lock/build.txt" \
        "--require-hashes -r packaging/lock/dev.txt" "--no-deps --editable ."; do
        # shellcheck disable=SC2086
        in_root env --chdir=/opt/aap .venv/bin/python -m pip --disable-pip-version-check \
            --no-input install --no-cache-dir --progress-bar off --use-pep517 \
            --no-build-isolation $what
    done
    rm -rf "$root/opt/aap/.venv/share/man" # as seen.sh does it
    echo "$wanted" > "$root/opt/aap/.made"
}

in_root() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        unshare --mount --pid --fork --propagation private \
        sh -c 'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"' "$root" "$@"
}

mkdir -p "$(dirname "$root")"
exec 9> "$root.lock"
flock 9
[ "$(cat "$root/.packages" 2> /dev/null)" = "$packages" ] || make_root
make_environment

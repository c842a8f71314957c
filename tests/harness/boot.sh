#!/bin/sh
# Boots the systemd of this machine once more, or that of another root, as PID 1 of
# namespaces of its own.
#
#   unshare --mount --propagation private sh boot.sh keep CHECKOUT ROOT [START...]
#
# prints the PID of the new systemd and keeps it until stdin is closed, be it by
# the end of the tests or by their death. Nothing outside changes: the root file
# system is an overlay whose upper layer is a tmpfs, CHECKOUT is seen at /opt/aap.

set -eu
umask 022

groups=/sys/fs/cgroup

keep() {
    [ "$(stat -f -c %T $groups)" = cgroup2fs ] || mount -t cgroup2 cgroup2 $groups
    sweep
    mine=$groups/aap-machine-$$
    mkdir "$mine"
    trap 'end "$mine"' EXIT

    # The cgroup first, then the cgroup namespace: its root is where we are then,
    # and two machines at a time do not see each other.
    (
        echo 0 > "$mine/cgroup.procs"
        exec unshare --mount --pid --fork --kill-child=KILL --uts --ipc --net --cgroup \
            --propagation private sh "$0" boot "$@"
    ) &
    exec > /dev/null # a boot that dies early is seen as the end of the output
    cat
}

end() {
    echo 1 > "$1/cgroup.kill"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        find "$1" -depth -type d -exec rmdir {} + 2> /dev/null && return
        sleep 0.05 # the killed are not all buried yet
    done
}

sweep() { # what a keeper left that was killed itself
    for left in "$groups"/aap-machine-*; do
        if [ -d "$left" ] && [ ! -d "/proc/${left##*-}" ]; then end "$left"; fi
    done
}

boot() {
    read -r pid _ < /proc/self/stat # this /proc is still the outer one, and so is the number
    ip link set lo up

    mount -t tmpfs -o mode=0755 tmpfs /run
    mkdir -m 0755 /run/upper /run/work /run/root
    mount -t overlay -o "lowerdir=$2,upperdir=/run/upper,workdir=/run/work" overlay /run/root
    furnish /run/root
    if [ "$2" = / ]; then
        sh "$(dirname "$0")/seen.sh" mount "$1" /run/root/opt/aap /opt/aap
    else # with the environment that root.sh made for its Python
        sh "$(dirname "$0")/seen.sh" mount "$1" /run/root/opt/aap /opt/aap "$2"
    fi

    # pivot_root, not chroot: in a chroot the kernel refuses user namespaces, and
    # every sandbox would look different. Shared, else credentials do not reach units.
    cd /run/root
    mkdir .outside
    pivot_root . .outside
    umount -l /.outside
    rmdir /.outside
    mount --make-rshared /
    echo "$pid"
    shift 2 # START: what is to become systemd
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        container=aap-machine \
        "$@" /lib/systemd/systemd --system --unit=multi-user.target --show-status=no < /dev/null >&2
}

furnish() {
    cd "$1"
    mkdir -p proc sys dev run tmp home opt root var/log/journal
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=0755 tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs tmp
    mount -t tmpfs -o mode=0755 tmpfs dev
    for node in null zero full random urandom tty; do
        : > dev/$node
        mount --bind /dev/$node dev/$node
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd

    tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id
    echo aap-machine > etc/hostname
    : > etc/fstab
    # Nothing that the outer machine enabled is started here, nobody lingers.
    rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/systemd/user/*.wants \
        etc/rc?.d var/lib/systemd/linger
    mkdir -p etc/systemd/system
    # Of the units that come with systemd: none that would touch the kernel that all share.
    for unit in systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service \
        systemd-random-seed.service systemd-udevd.service systemd-udev-trigger.service \
        systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-rfkill.socket \
        sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
        dev-hugepages.mount systemd-networkd.service systemd-networkd.socket \
        systemd-resolved.service systemd-timesyncd.service systemd-firstboot.service \
        systemd-update-utmp.service systemd-update-utmp-runlevel.service getty.target; do
        ln -sf /dev/null "etc/systemd/system/$unit"
    done
    cd /
}

"$@"

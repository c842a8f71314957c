#!/bin/sh
# Shows a checkout at a place where every user can run its virtual environment.
#
#   sh seen.sh mount CHECKOUT TARGET [SEEN_AS [ROOT]]
#     SEEN_AS: what TARGET will be called; ROOT: where the environment is that fits there
#   sh seen.sh end TARGET
#
# The checkout may lie in /tmp or be its owner's alone, and the programs of a virtual
# environment carry the absolute path they were made at. TARGET is a copy on write in
# memory (tmpfs below, overlay above) in which both are put right.

set -eu
umask 022

show() {
    mkdir -p "$2"
    mount -t tmpfs -o mode=0755 tmpfs "$2"
    mkdir -m 0755 "$2/lower" "$2/upper" "$2/work"
    mount --rbind "$1" "$2/lower" # a plain name: in mount's options , and : are special
    # What is being tested does not change because somebody edits it.
    tar -C "$1" --exclude=./.venv --exclude=./.git --exclude='./.*cache' -cf - . |
        tar -C "$2/upper" -xf -
    hide_roots "$1" "$2/upper"
    mount -t overlay -o "lowerdir=$2/lower,upperdir=$2/upper,workdir=$2/work,metacopy=on" \
        overlay "$2"
    if [ $# = 4 ]; then
        mount --bind "$4/opt/aap/.venv" "$2/.venv"
        mount -o remount,bind,ro "$2/.venv"
        make_readable "$2"
        chroot "${2%"$3"}" "$3/.venv/bin/python" -m compileall -q "$3/aap"
        return
    fi
    relocate "$1" "$2" "${3:-$2}"
    make_readable "$2"
    # As an installer does. Users could not, and would compile at every start.
    "$2/.venv/bin/python" -m compileall -q -s "$2" -p "${3:-$2}" "$2/aap"
}

hide_roots() { # of root.sh: a device 0:0 in the upper layer hides what is below it
    for root in "$1"/.cache/*/.packages; do
        [ -e "$root" ] || continue
        mkdir -p "$2/.cache"
        mknod "$2/.cache/$(basename "$(dirname "$root")")" c 0 0
    done
}

relocate() { # FROM HERE TO
    venv=$2/.venv
    if [ ! -d "$venv" ]; then echo "$1/.venv is missing: scripts/setup makes it" >&2; exit 1; fi
    # With these beside it `man` would find aap's pages, and nobody need install them.
    rm -rf "$venv/share/man"
    from=$(printf %s "$1" | sed 's/[][\\.*^$|]/\\&/g')
    { grep -lIF "$1" "$venv"/lib/python3*/site-packages/*.pth || true; } |
        xargs -r -d '\n' sed -i "s|^$from|$3|"
    { grep -lIF "$1/.venv/bin/" "$venv"/bin/* || true; } |
        xargs -r -d '\n' sed -i "1,3s|$from/.venv/bin/|$3/.venv/bin/|"
}

make_readable() {
    # Root's, and nobody else's to change: what root and the system's units run must be.
    find "$1" -xdev -path "$1/.git" -prune -o ! -user root -exec chown -h root {} +
    find "$1" -xdev -path "$1/.git" -prune -o ! -type l -perm /0022 -exec chmod go-w {} +
    find "$1" -xdev -path "$1/.git" -prune -o ! -type l ! -perm -0004 -exec chmod go+rX {} +
    find "$1" -maxdepth 0 ! -perm -0005 -exec chmod 0755 {} +
}

end() {
    umount -l "$1"
    umount -l "$1/lower"
    umount -l "$1"
    rmdir "$1"
}

case $1 in
    mount) shift; show "$@" ;;
    end) end "$2" ;;
esac

"""Becomes another program for which the kernel has no user namespaces, as on a hardened machine.

    no_userns.py PROGRAM ARGUMENT...

The sysctl user.max_user_namespaces would do it for the whole machine; this does it by a
seccomp filter for one program and all that it starts: unshare(2) and clone(2) with
CLONE_NEWUSER are refused (EPERM).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

CLONE_NEWUSER = 0x10000000
UNSHARE, CLONE = {"x86_64": (272, 56), "aarch64": (97, 220)}[os.uname().machine]

LOAD, EQUAL, HAS, RETURN = 0x20, 0x15, 0x45, 0x06  # BPF of words: ld, jeq, jset, ret
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM

# struct seccomp_data: the call's number at 0, the low half of its first argument at 16.
PROGRAM = [
    (LOAD, 0, 0, 0),
    (EQUAL, 1, 0, UNSHARE),
    (EQUAL, 0, 2, CLONE),
    (LOAD, 0, 0, 16),
    (HAS, 1, 0, CLONE_NEWUSER),
    (RETURN, 0, 0, ALLOW),
    (RETURN, 0, 0, REFUSE),
]


def main() -> None:
    """Set the filter, then be the program."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in PROGRAM))
    program = struct.pack("HxxxxxxP", len(PROGRAM), ctypes.addressof(code))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    # prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER): root needs no NO_NEW_PRIVS for it.
    if libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no filter can be set")
    os.execv(sys.argv[1], sys.argv[1:])


main()

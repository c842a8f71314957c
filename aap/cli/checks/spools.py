"""The spool: whose it is, whether its file system keeps promises, what lies about in it."""

from __future__ import annotations

import json
import os
import shlex
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from aap import files, identity
from aap.cli import output
from aap.cli.checks.finding import (
    FAIL,
    INSTALL,
    NOTE,
    OK,
    WARN,
    Finding,
    Found,
    Patient,
    Site,
    Unasked,
    in_each,
)
from aap.errors import FormatError, TryAgainError
from aap.inbox import Entry, Spool, check_format, is_visible
from aap.message import ID_CHARS, State, parse_name
from aap.mode import SYSTEM

SLOW_FSYNC = 0.25
FRESH = 3600.0  # a hidden file of our own naming is a message being written until then
A_MOMENT = 60.0
READ_MOST = 200  # waiting messages that are read, and no larger than this:
READ_BYTES = 16 << 20

_MEMORY = {"tmpfs", "ramfs"}


def _there(site: Site) -> Path:
    if not site.spool.root.is_dir():
        raise Unasked
    return site.spool.root


def spool_format(patient: Patient) -> Found:
    """Look whether this aap knows the rules by which the spool is to be read."""
    yield from in_each(patient, _look_at_format)


def _look_at_format(site: Site) -> Found:
    try:
        check_format(_there(site))
    except FormatError as error:
        yield Finding(FAIL, str(error), error.hint)
        return
    yield Finding(OK, "this version of aap can read it")


def spool_permissions(patient: Patient) -> Found:
    """Look whether the spool is there, ours, writable, and nobody else's to read."""
    account = identity.find_account() if patient.manager.mode == SYSTEM else None
    yield from in_each(patient, lambda site: _look_at_permissions(site, account))


def _look_at_permissions(site: Site, account: identity.Owner | None) -> Found:
    root, owner = site.spool.root, account or identity.current()
    mine = owner.uid if owner else os.geteuid()
    if not root.is_dir():
        yield Finding(FAIL, f"{root} is missing", INSTALL, safe=True)
        return
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        fix = f"findmnt -T {shlex.quote(str(root))}"
        yield Finding(FAIL, f"the file system of {root} is read-only", fix)
        return
    there = [folder for folder in (root, *map(site.spool.folder, State)) if folder.is_dir()]
    closed = list(_closed(there))
    found = [*(closed or _in_others_hands(site.path, there, mine)), *_opened(root, there)]
    yield from found or [Finding(OK, f"{root} is its owner's alone")]


def _closed(folders: Sequence[Path]) -> Found:
    # By the rights that root has taken on for this look, if it is root who looks.
    rights = os.R_OK | os.W_OK | os.X_OK
    for folder in [each for each in folders if not os.access(each, rights, effective_ids=True)][:1]:
        shown = shlex.quote(str(folder))
        own = os.geteuid() in {0, folder.stat().st_uid}
        fix = _by_owner(folder, f"chmod u=rwx {shown}") if own else f"sudo chown -R $USER {shown}"
        yield Finding(FAIL, f"you may not write {folder}", fix, safe=own)


def _opened(root: Path, folders: Sequence[Path]) -> Found:
    for folder in [each for each in folders if stat.S_IMODE(each.stat().st_mode) & 0o077][:1]:
        fix = _by_owner(root, f"chmod -R go= {shlex.quote(str(root))}")
        yield Finding(WARN, f"others can look into {folder}", fix, safe=True)


def _in_others_hands(workspace: Path, folders: Sequence[Path], mine: int) -> Found:
    """Look who else can put anything in: everybody, or whose a folder is."""
    if workspace.stat().st_mode & stat.S_IWOTH:
        fix = _by_owner(workspace, f"chmod o-w {shlex.quote(str(workspace))}")
        yield Finding(WARN, f"everybody may write the workspace {workspace}", fix, safe=True)
    for folder in [each for each in folders if each.stat().st_uid != mine][:1]:
        fix = f"sudo chown -R {mine} {shlex.quote(str(folders[0]))}"
        yield Finding(FAIL, f"{folder} belongs to another user", fix)


def _by_owner(folder: Path, command: str) -> str:
    """Have root run it as the owner, who can put a link in the folder's place at any moment."""
    import pwd

    uid = folder.stat().st_uid
    if os.geteuid() != 0 or uid == 0:
        return command
    try:
        return f"runuser -u {pwd.getpwuid(uid).pw_name} -- {command}"
    except KeyError:  # an owner without a name
        return f"setpriv --reuid={uid} --clear-groups -- {command}"


# The file system: what is tried here is what each message relies on.


def spool_fsync(patient: Patient) -> Found:
    """Measure what making a message durable costs, and whether it can be durable at all."""
    yield from in_each(patient, _try_fsync)


def _try_fsync(site: Site) -> Found:
    root = _there(site)
    kind = file_system(root)
    if kind in _MEMORY:
        said = f"{root} lies in memory ({kind}): a reboot loses all messages"
        yield Finding(WARN, said, "aap config set WORKSPACE with a folder on a disk")
        return
    probe = _probe(root)
    began = time.monotonic()
    try:
        with files.new_file(probe) as fd:
            files.write_all(fd, bytes(4096))
        files.fsync_folder(root)
    except OSError as error:
        said = f"nothing can be made durable in {root}"
        yield Finding(FAIL, said, f"findmnt -T {shlex.quote(str(root))}", str(error.strerror))
        return
    finally:
        probe.unlink(missing_ok=True)
    took = time.monotonic() - began
    said = f"4 kB are on the disk ({kind}) after {took * 1000:.1f} ms"
    yield Finding(NOTE if took > SLOW_FSYNC else OK, said)


def _probe(folder: Path) -> Path:
    return folder / f".doctor-{os.getpid()}"


def file_system(path: Path) -> str:
    """Return the type of the file system that holds `path`, from /proc/self/mountinfo."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return after.split()[0]
    return "unknown file system"


def spool_rename(patient: Patient) -> Found:
    """Move a file through all the folders, as a message is moved."""
    yield from in_each(patient, _try_rename)


def _try_rename(site: Site) -> Found:
    root = _there(site)
    # Hidden, so that it wakes nobody.
    there = [_probe(f) for f in map(site.spool.folder, State) if os.access(f, os.W_OK | os.X_OK)]
    if not there:
        raise Unasked
    there[0].touch(mode=0o600)
    at = there[0]
    try:
        for following in there[1:]:
            at = at.rename(following)
    except OSError as error:
        said = f"no file can be moved from {at.parent.name}/ to {following.parent.name}/"
        why = os.strerror(error.errno or 0)
        yield Finding(FAIL, said, f"findmnt -R -T {shlex.quote(str(root))}", why)
        return
    finally:
        at.unlink(missing_ok=True)
    yield Finding(OK, "a file moves through all folders")


def spool_lock(patient: Patient) -> Found:
    """Try whether a lock keeps another one out: two workers at a time would mix answers up."""
    yield from in_each(patient, _try_lock)


def _try_lock(site: Site) -> Found:
    root = _there(site)
    if site.spool.lock_holder():
        yield Finding(OK, "a worker holds the lock")
        return
    other = Spool(root)
    try:
        with site.spool.lock(), other.lock():
            said = f"two workers could run at a time: locks do not hold in {root}"
            yield Finding(FAIL, said, f"findmnt -T {shlex.quote(str(root))}")
            return
    except TryAgainError:
        yield Finding(OK, "a lock keeps others out")


def spool_space(patient: Patient) -> Found:
    """Compare free space and inodes with what the API keeps free."""
    yield from in_each(patient, _look_at_space)


def _look_at_space(site: Site) -> Found:
    root, settings = _there(site), site.settings
    shown = shlex.quote(str(root))
    free = os.statvfs(root)
    room, inodes = free.f_bavail * free.f_frsize, free.f_favail
    said = f"{output.size(room)} and {inodes} inodes are free"
    has_inodes = free.f_files > 0  # btrfs and others have no fixed number and say 0
    if room < settings.min_free:
        said = f"{said}; below {output.size(settings.min_free)} messages are refused"
        yield Finding(FAIL, said, f"df -h {shown}")
    elif has_inodes and inodes < settings.min_free_inodes:
        said = f"{said}; below {settings.min_free_inodes} inodes messages are refused"
        yield Finding(FAIL, said, f"df -i {shown}")
    elif room < 4 * settings.min_free:
        yield Finding(WARN, f"{said}: it gets tight", f"df -h {shown}")
    else:
        yield Finding(OK, said)


# What lies about


def spool_strays(patient: Patient) -> Found:
    """Look for files in inbox/ that systemd does not count and nobody will ever handle."""
    yield from in_each(patient, _look_for_strays)


def _look_for_strays(site: Site) -> Found:
    inbox = _there(site) / State.INBOX.value
    strays = sorted(name for name in _names(inbox) if _is_stray(inbox / name))
    if not strays:
        yield Finding(OK, "inbox/ holds nothing but messages")
        return
    first, renamed = inbox / strays[0], inbox / f"{strays[0].strip('.~')}.json"
    fix = shlex.join(["mv", "-n", str(first), str(renamed)])
    said = f"{output.counted(len(strays), 'file')} in inbox/ of a name that wakes nobody"
    yield Finding(WARN, said, fix, strays[0])


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _is_stray(path: Path) -> bool:
    if is_visible(path.name) or parse_name(path.name[1:]):
        return False
    # What has no name of ours may be somebody's half-written file for a moment.
    return _age(path) > A_MOMENT


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def spool_leftovers(patient: Patient) -> Found:
    """Look for what a killed program left half done, and for notes of messages that are gone."""
    yield from in_each(patient, _look_for_leftovers)


def _look_for_leftovers(site: Site) -> Found:
    old = sorted(path for path in _leftovers(_there(site)) if _age(path) > FRESH)
    if not old:
        yield Finding(OK, "nothing was left half done")
        return
    some = shlex.join(["rm", "-f", "--", *map(str, old[:20])])
    there = output.counted(len(old), "file")
    said = f"{there} left by a program that was killed, or by a message that is gone"
    yield Finding(NOTE, said, some)


def _leftovers(root: Path) -> Iterator[Path]:
    inbox = root / State.INBOX.value
    yield from (inbox / n for n in _names(inbox) if n.startswith(".") and parse_name(n[1:]))
    yield from (root / n for n in _names(root) if files.is_draft(n))
    notes = root / "notes"
    noted = {name.partition(".")[0]: name for name in _names(notes)}
    if noted:
        # Where one is missed, a person is told to delete its notes.
        known = {name[:ID_CHARS] for _, names in Spool(root).everywhere() for name in names}
        yield from (notes / name for message, name in noted.items() if message not in known)


def spool_corrupt(patient: Patient) -> Found:
    """Read what waits: no agent can be given what is no JSON object."""
    yield from in_each(patient, _look_for_corrupt)


def _look_for_corrupt(site: Site) -> Found:
    _there(site)
    waiting = (State.INBOX, State.DEFERRED, State.HOLD)
    bad = [e for e in site.spool.entries(*waiting, limit=READ_MOST) if not _is_sound(e)]
    for entry in bad[:1]:
        said = f"{output.counted(len(bad), 'file')} without a JSON object among what waits"
        yield Finding(WARN, said, shlex.join(["aap", "inbox", "rm", entry.id]), str(entry.path))
    if not bad:
        yield Finding(OK, "what waits can be read")


def _is_sound(entry: Entry) -> bool:
    try:
        facts = entry.path.lstat()
        if not stat.S_ISREG(facts.st_mode):
            return False
        if facts.st_size > READ_BYTES:
            return True  # the API takes none of this size: somebody's own, and not for us to read
        return isinstance(json.loads(entry.path.read_bytes()), dict)
    except FileNotFoundError:
        return True  # it has moved on
    except (OSError, ValueError, RecursionError):
        return False


def spool_failed(patient: Patient) -> Found:
    """Look for messages that were given up."""
    yield from in_each(patient, _look_for_failed)


def _look_for_failed(site: Site) -> Found:
    _there(site)
    with suppress(OSError):
        if count := site.spool.count(State.FAILED):
            said = f"{output.counted(count, 'message')} given up"
            yield Finding(WARN, said, "aap inbox ls --state failed")
            return
    yield Finding(OK, "no message was given up")

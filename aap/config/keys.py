"""API keys, stored hashed: one line a key, `NAME sha256:HEX`.

A plain SHA-256 is enough here, and a slow or salted hash would be worse: a key is a long
random token, so there is no dictionary to try, and each request is checked, so a hash of
100 ms would be a way to stop the API. `new_key` makes such a token.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from aap.config.envfile import DoubtfulConfigError, Finding, decode, read_bytes
from aap.config.files import locked, real_file
from aap.errors import ConfigError, NotFoundError, UsageError
from aap.files import make_folder, write_atomic

PLAIN_NAME = "API_KEY"
"""The name of the key that a configuration file holds in plain."""

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._@-]{0,63})[ \t]+sha256:([0-9a-f]{64})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


def new_key() -> str:
    """Return a new random key: 256 bits, safe in a header, a URL and a shell."""
    from secrets import token_urlsafe

    return f"aap_{token_urlsafe(32)}"


def _hash(key: str | bytes) -> bytes:
    from hashlib import sha256

    raw = key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")
    return sha256(raw).digest()


class KeyRing:
    """The keys that clients may use. False where there are none.

    `findings` say what is wrong with the file itself: others can read or change it.
    `is_required` says whether clients need a key: a file that has lost its last key still asks
    for one, which nobody has; where there is no file, and no other key, all are welcome.
    """

    def __init__(
        self,
        hashes: Mapping[str, bytes],
        findings: tuple[Finding, ...] = (),
        *,
        is_required: bool = True,
    ) -> None:
        self._hashes = dict(hashes)
        self.findings = findings
        self.is_required = is_required

    @classmethod
    def load(cls, file: Path, plain: str = "") -> KeyRing:
        """Read `file`, which may be missing, and add the plain key of the configuration.

        Raises ConfigError for a file that is there and cannot be read, or has a line that
        is no key: to go on with fewer keys, or none, would open what was closed.
        """
        text = _read(file)
        hashes = _parse(text or "", file)
        if plain:
            hashes[PLAIN_NAME] = _hash(plain)
        return cls(hashes, tuple(_look_at(file)), is_required=bool(plain) or text is not None)

    def __len__(self) -> int:
        return len(self._hashes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all keys, as in the file."""
        return tuple(self._hashes)

    def check(self, candidate: str | bytes) -> str | None:
        """The name of the key that `candidate` is, or None.

        Takes the same time for every candidate of the same length: all keys are compared.
        """
        from hmac import compare_digest

        found = None
        asked = _hash(candidate)
        for name, known in self._hashes.items():
            if compare_digest(asked, known):
                found = name
        return found


def add_key(file: Path, name: str, plain: str, *, replace: bool = True) -> bool:
    """Store the hash of `plain` under `name`; False: it was so.

    Takes the place of that name's key, unless `replace` is false: then it raises UsageError.
    Creates the file (0600) and its folder. Raises ConfigError.
    """
    if not _NAME.fullmatch(name):
        hint = "a name is letters, digits and . _ @ -, for example: phone"
        raise ConfigError(f'"{name}" is no name for a key', hint=hint)
    if not plain or plain != plain.strip() or not plain.isprintable():
        raise ConfigError("this is no key: it is empty, or has blanks or control characters")
    make_folder(file.parent)
    with locked(file.parent):
        text = _read(file) or ""
        hashes = _parse(text, file)
        hashed = _hash(plain)
        if name in hashes and not replace:
            hint = f"take another name, or first: aap key revoke {name}"
            raise UsageError(f'there is a key "{name}" already', hint=hint)
        if hashes.get(name) == hashed:
            return False
        rest = _without(text, name)
        line = f"{name} sha256:{hashed.hex()}\n"
        _write(file, (rest if not rest or rest.endswith("\n") else f"{rest}\n") + line)
    return True


def remove_key(file: Path, name: str) -> None:
    """Take the key `name` away; raises NotFoundError. The file stays, if need be empty."""
    if file.exists():
        with locked(file.parent):
            text = _read(file) or ""
            if name in _parse(text, file):
                _write(file, _without(text, name))
                return
    raise NotFoundError(f'there is no key "{name}" in {file}', hint="aap key ls")


def _without(text: str, name: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.split(maxsplit=1)[:1] != [name])


def _write(file: Path, text: str) -> None:
    write_atomic(real_file(file), text.encode())


def _read(file: Path) -> str | None:
    """The file's text; None if there is no file."""
    try:
        return decode(read_bytes(file), str(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = f"ls -l {file}"
        raise ConfigError(f"{file} cannot be read: {error.strerror}", hint=hint) from None


def _parse(text: str, file: Path) -> dict[str, bytes]:
    hashes = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            name, hashed = _read_line(line, number, file)
            hashes[name] = hashed
    return hashes


def _read_line(line: str, number: int, file: Path) -> tuple[str, bytes]:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        # No excerpt: it might be a key in plain.
        message = "this line is no key: NAME sha256: and 64 hexadecimal digits"
        hint = "take the line away; a key is added by: aap key new NAME"
        raise DoubtfulConfigError(
            (Finding("bad-key-line", str(file), message, number, 1, hint=hint),)
        )
    return match[1], bytes.fromhex(match[2])


def _look_at(file: Path) -> list[Finding]:
    """What makes the file less safe than it looks. Hashes may be read by others, but needn't."""
    try:
        facts = file.stat()
    except OSError:
        return []
    found = []
    if facts.st_uid not in (os.geteuid(), 0):
        found.append(("keys-owner", "belongs to another user, who can add keys", "chown"))
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        found.append(("keys-writable", "can be changed by other users", "chmod 600"))
    elif facts.st_mode & stat.S_IROTH:
        found.append(("keys-readable", "can be read by all users", "chmod 600"))
    return [
        Finding(code, str(file), message, hint=f"{mend} {file}", harmless=True)
        for code, message, mend in found
    ]

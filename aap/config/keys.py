"""API keys, stored hashed: one line a key, `NAME sha256:HEX [SCOPE,...]`.

A key without scopes is a client's, as all were before there were scopes; one that has no
other rights is written so, and versions that know no scopes read it.

A plain SHA-256 is enough here, and a slow or salted hash would be worse: a key is a long
random token, so there is no dictionary to try, and each request is checked, so a hash of
100 ms would be a way to stop the API. `new_key` makes such a token.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from aap.config.envfile import DoubtfulConfigError, Finding, read_text
from aap.config.files import locked, real_file, write_private
from aap.config.load import SAMPLE_KEY
from aap.errors import ConfigError, NotFoundError, UsageError, did_you_mean, unreadable

PLAIN_NAME = "API_KEY"
"""The name of the key that a configuration file holds in plain."""

_LINE = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._@-]{0,63})[ \t]+sha256:([0-9a-f]{64})(?:[ \t]+([a-z,]+))?", re.ASCII
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


class Scope(str, Enum):
    """What a key may do."""

    ENQUEUE = "enqueue"  # send messages
    RECEIPTS = "receipts"  # ask where a message is
    ADMIN = "admin"  # both, and see how all workspaces stand


class Key(NamedTuple):
    """What is kept of a key."""

    hashed: bytes
    scopes: frozenset[Scope]


CLIENT = frozenset({Scope.ENQUEUE, Scope.RECEIPTS})
"""What a key may do of which nothing else is said."""


def read_scopes(text: str) -> frozenset[Scope]:
    """Read `enqueue,receipts`; raises UsageError for a word that is no scope."""
    try:
        return frozenset(Scope(word.strip()) for word in text.split(","))
    except ValueError:
        there_are = ", ".join(scope.value for scope in Scope)
        raise UsageError(f'"{text}" names no scopes', hint=f"there are: {there_are}") from None


def show_scopes(scopes: Collection[Scope]) -> str:
    """Write scopes as `read_scopes` reads them, in their own order."""
    return ",".join(scope.value for scope in Scope if scope in scopes)


def new_key() -> str:
    """Return a new random key: 256 bits, safe in a header, a URL and a shell."""
    from secrets import token_urlsafe

    return f"aap_{token_urlsafe(32)}"


def _hash(key: str | bytes) -> bytes:
    from hashlib import sha256

    raw = key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")
    return sha256(raw).digest()


def _is_sample(key: Key) -> bool:
    return key.hashed == _hash(SAMPLE_KEY)


class KeyRing:
    """The keys that clients may use. False where there are none.

    `findings` say what is wrong with the file itself: others can read or change it.
    `is_required` says whether clients need a key: a file that has lost its last key still asks
    for one, which nobody has; where there is no file, and no other key, all are welcome.
    The sample of ai-agent-proxy's README, which everyone knows, counts only where it is alone.
    """

    def __init__(
        self,
        keys: Mapping[str, Key],
        findings: tuple[Finding, ...] = (),
        *,
        is_required: bool = True,
    ) -> None:
        self._keys = dict(keys)
        self.findings = findings
        self.is_required = is_required

    @classmethod
    def load(cls, file: Path, plain: str = "", *, with_sample: bool = True) -> KeyRing:
        """Read `file`, which may be missing, and add the plain key of the configuration.

        Without `with_sample` the sample counts for nothing even where it is alone.

        Raises ConfigError for a file that is there and cannot be read, or has a line that
        is no key: to go on with fewer keys, or none, would open what was closed.
        """
        text = _read(file)
        keys = _parse(text or "", file)
        if plain:
            keys[PLAIN_NAME] = Key(_hash(plain), CLIENT)
        own = {name: key for name, key in keys.items() if not _is_sample(key)}
        counting = keys if with_sample and not own else own
        return cls(counting, tuple(_look_at(file)), is_required=bool(plain) or text is not None)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all keys, as in the file."""
        return tuple(self._keys)

    @property
    def lack(self) -> str:
        """What is missing before other machines may be let in, in words; empty if nothing is."""
        if self._keys and all(map(_is_sample, self._keys.values())):
            return "the only key is the sample of a README, which everyone knows"
        return "" if self._keys else "there is no key"

    def check(self, candidate: str | bytes) -> str | None:
        """The name of the key that `candidate` is, or None.

        Takes the same time for every candidate of the same length: all keys are compared.
        """
        from hmac import compare_digest

        found = None
        asked = _hash(candidate)
        for name, known in self._keys.items():
            if compare_digest(asked, known.hashed):
                found = name
        return found

    def scopes(self, name: str) -> frozenset[Scope]:
        """What the key of that name may do; nothing, if there is none."""
        known = self._keys.get(name)
        return known.scopes if known else frozenset()

    def allows(self, name: str, scope: Scope) -> bool:
        """Tell whether the key of that name has `scope`; admin has all."""
        scopes = self.scopes(name)
        return scope in scopes or Scope.ADMIN in scopes


def add_key(
    file: Path,
    name: str,
    plain: str,
    *,
    scopes: Collection[Scope] = CLIENT,
    replace: bool = True,
) -> bool:
    """Store the hash of `plain` under `name`, with what it may do; False: it was so.

    Takes the place of that name's key, unless `replace` is false: then it raises UsageError,
    as for what is no name. Creates the file (0600) and its folder. Raises ConfigError.
    """
    if not _NAME.fullmatch(name):
        hint = "a name is letters, digits and . _ @ -, for example: phone"
        raise UsageError(f'"{name}" is no name for a key', hint=hint)
    if not plain or plain != plain.strip() or not plain.isprintable():
        raise ConfigError("this is no key: it is empty, or has blanks or control characters")
    if plain == SAMPLE_KEY:
        said = "this is the sample of a README, which everyone knows"
        raise ConfigError(said, hint=f"aap key new {name}")
    with locked(file.parent):
        text = _read(file) or ""
        known = _parse(text, file)
        key = Key(_hash(plain), frozenset(scopes))
        if name in known and not replace:
            hint = f"take another name, or first: aap key revoke {name}"
            raise UsageError(f'there is a key "{name}" already', hint=hint)
        if known.get(name) == key:
            return False
        rest = _without(text, name)
        line = _write_line(name, key)
        _write(file, (rest if not rest or rest.endswith("\n") else f"{rest}\n") + line)
    return True


def remove_key(file: Path, name: str) -> None:
    """Take the key `name` away; raises NotFoundError. The file stays, if need be empty."""
    known: Mapping[str, Key] = {}
    if file.exists():
        with locked(file.parent):
            text = _read(file) or ""
            known = _parse(text, file)
            if name in known:
                _write(file, _without(text, name))
                return
    hint = did_you_mean(name, known, "aap key ls")
    raise NotFoundError(f'there is no key "{name}" in {file}', hint=hint)


def _write_line(name: str, key: Key) -> str:
    more = "" if key.scopes == CLIENT else f" {show_scopes(key.scopes)}"
    return f"{name} sha256:{key.hashed.hex()}{more}\n"


def _without(text: str, name: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.split(maxsplit=1)[:1] != [name])


def _write(file: Path, text: str) -> None:
    write_private(real_file(file), text)


def _read(file: Path) -> str | None:
    """The file's text; None if there is no file."""
    try:
        return read_text(file)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise unreadable(file, error) from None


def _parse(text: str, file: Path) -> dict[str, Key]:
    keys = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            name, key = _read_line(line, number, file)
            keys[name] = key
    return keys


def _read_line(line: str, number: int, file: Path) -> tuple[str, Key]:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        message = "this line is no key: NAME sha256: and 64 hexadecimal digits"
        raise _doubt(message, number, file)
    try:
        scopes = read_scopes(match[3]) if match[3] else CLIENT
    except UsageError as error:
        raise _doubt(f"this key has a scope that is none: {error.hint}", number, file) from None
    return match[1], Key(bytes.fromhex(match[2]), scopes)


def _doubt(message: str, number: int, file: Path) -> DoubtfulConfigError:
    # No excerpt: it might be a key in plain.
    hint = "take the line away; a key is added by: aap key new NAME"
    return DoubtfulConfigError((Finding("bad-key-line", str(file), message, number, 1, hint=hint),))


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

"""`aap key`: the keys of clients, each with a name, shown once and kept as hashes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aap import config, files
from aap.cli import output
from aap.cli.place import Place
from aap.config import keys
from aap.errors import AapError, Exit, NotFoundError
from aap.mode import ACCOUNT, USER, find_mode


def new(name: str, scope: str, *, as_json: bool = False) -> int:
    """Make a key and print it: the only time that it is seen.

    JSON is one document, schema `aap.key.new/1`. Raises UsageError if the name is taken,
    or for a scope that is none.
    """
    scopes = keys.read_scopes(scope)
    file = config.keys_file()
    is_first = not file.exists()
    plain = keys.new_key()
    keys.add_key(file, name, plain, scopes=scopes, replace=False)
    with _gone_if_unseen(file, name, is_first=is_first):
        if as_json:
            output.write_json("aap.key.new/1", name=name, key=plain, scopes=_listed(scopes))
        else:
            output.write(plain)
        output.flush()
    if as_json:
        return Exit.OK
    output.note("it is not shown again, and counts at once; a client sends it as")
    output.note("  Authorization: Bearer KEY")
    if is_first:
        whose = "your own user" if find_mode() == USER else f"the group {ACCOUNT}"
        output.note(f"from now on, all clients need a key, but for the socket of {whose}")
    return Exit.OK


@contextmanager
def _gone_if_unseen(file: Path, name: str, *, is_first: bool) -> Iterator[None]:
    """Take a key away again that could not be shown: nobody has it, and its name is taken."""
    try:
        yield
    except OSError:
        with suppress(AapError, OSError):
            keys.remove_key(file, name)
            if is_first:  # a file without a key lets nobody in
                files.remove(file)
        raise


def ls(place: Place, *, as_json: bool = False) -> int:
    """Print the names of all keys, what they may do, and where each is kept.

    With JSON one a line, schema `aap.key/1`.
    """
    ring = keys.KeyRing.load(config.keys_file(), place.settings.api_key)
    rows = [(name, _listed(ring.scopes(name)), _place_of(place, name)) for name in ring.names]
    if as_json:
        for name, scopes, kept in rows:
            output.write_json("aap.key/1", name=name, file=kept, scopes=scopes)
        return Exit.OK
    if rows:
        heads = (output.Column("NAME", 30), output.Column("MAY", 30), output.Column("KEPT IN"))
        output.table(heads, [(name, ",".join(scopes), kept) for name, scopes, kept in rows])
    elif ring.is_required:
        output.note(_closed())
    else:
        output.note("there is no key: every program of this machine may send messages")
        output.note("  aap key new NAME")
    return Exit.OK


def _listed(scopes: frozenset[keys.Scope]) -> list[str]:
    return keys.show_scopes(scopes).split(",")


def _place_of(place: Place, name: str) -> str:
    if name != keys.PLAIN_NAME:
        return str(config.keys_file())
    origin = place.loaded.origins["API_KEY"]
    return str(origin.file or origin.name)


def revoke(place: Place, name: str) -> int:
    """Take a key away, also where other settings are wrong. Raises NotFoundError."""
    try:
        keys.remove_key(config.keys_file(), name)
    except NotFoundError:
        if name != keys.PLAIN_NAME or not place.settings.api_key:
            raise
        said = f"the key {name} is kept in plain in {_place_of(place, name)}"
        raise NotFoundError(said, hint="aap config unset API_KEY") from None
    output.note(f'the key "{name}" no longer counts')
    with suppress(AapError, OSError):  # it is gone, whatever else may be wrong
        say_if_closed(place.settings.api_key)
    return Exit.OK


def say_if_closed(plain: str = "") -> None:
    """Tell when the last key has gone, and what opens the API again. Raises ConfigError."""
    ring = keys.KeyRing.load(config.keys_file(), plain)
    if not ring and ring.is_required:
        output.note(_closed())


def _closed() -> str:
    """Say how it is after the last key: a key is still asked for."""
    file = config.keys_file()
    return f"no key is left, so no client gets in; to let all of this machine in: rm {file}"

"""`aap inbox`: the queue, for people and for agents."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aap import bodies, files
from aap.cli import output
from aap.cli.place import Place
from aap.errors import AapError, Exit, NotFoundError, TryAgainError, UsageError
from aap.inbox import Entry, Spool
from aap.message import ID_CHARS, Digest, State, id_time

OPEN_STATES = (State.INBOX, State.ACTIVE, State.DEFERRED, State.HOLD, State.FAILED)
LIMIT = 50
TEXT_OFF_TERMINAL = 160

_COLOURS = {"active": "green", "deferred": "yellow", "hold": "cyan", "failed": "red", "done": "dim"}
_COLUMNS = (
    output.Column("STATE", 8, colours=_COLOURS),
    output.Column("ID", 32),
    output.Column("AGE", 7, right=True),
    output.Column("TRIES", 5, right=True),
    output.Column("CHANNEL", 10),
    output.Column("CHAT", 16),
    output.Column("SENDER", 14),
    output.Column("TEXT"),
)


# Looking


def ls(
    place: Place,
    *,
    states: Sequence[State] = (),
    limit: int | None = None,
    show_all: bool = False,
    as_json: bool = False,
) -> int:
    """List messages, in the order in which they came; open only those that are shown."""
    chosen = tuple(State) if show_all else tuple(states) or OPEN_STATES
    limit = _limit(as_json) if limit is None else limit
    shown, total = _page(place.spool, chosen, limit)
    seen = [(entry, digest) for entry in shown if (digest := _digest(place.spool, entry))]
    if as_json:
        for entry, digest in seen:
            output.write_json("aap.inbox.entry/1", **_members(place.spool, entry, digest))
        return Exit.OK
    if not seen:
        output.note(_nothing(place.spool, chosen))
        return Exit.OK
    output.table(_COLUMNS, [_row(entry, digest) for entry, digest in seen], least=16)
    if total > len(shown):
        output.note(f"{total - len(shown)} more: --limit 0 shows all")
    return Exit.OK


def _limit(as_json: bool) -> int:
    """A screenful on a terminal; for programs everything that they asked for."""
    if as_json:
        return 0
    height = output.lines()
    return LIMIT if height is None else max(10, height - 3)


def _page(spool: Spool, states: Sequence[State], limit: int) -> tuple[list[Entry], int]:
    """Return what to show and how many there are: of waiting messages the first, else the last."""
    if limit <= 0:
        entries = spool.entries(*states)
        return entries, len(entries)
    if State.DONE in states:
        entries = spool.entries(*states)
        return entries[-limit:], len(entries)
    return spool.page(*states, limit=limit)


def _nothing(spool: Spool, states: Sequence[State]) -> str:
    if not spool.root.is_dir():
        return f"no messages: nothing has arrived in {spool.root} yet"
    handled = 0 if State.DONE in states else spool.count(State.DONE)
    return f"no messages wait; {handled} handled: aap inbox ls --all" if handled else "no messages"


def _row(entry: Entry, digest: Digest) -> tuple[str, ...]:
    where = digest.conversation
    channel = where.channel if where else ""
    chat = digest.label or (where.chat.removeprefix(f"{channel}:") if where else "")
    who = digest.sender or digest.sender_id
    words = digest.text or " ".join(digest.attachments)
    cells = (channel, chat, who)
    return (
        entry.state.value,
        output.one_line(entry.id),
        _age(entry),
        f"{entry.attempts}x" if entry.attempts else "",
        *map(output.one_line, cells),
        output.one_line(words)
        if output.columns()
        else output.cut(output.one_line(words), TEXT_OFF_TERMINAL),
    )


def _age(entry: Entry) -> str:
    return "" if entry.is_foreign else output.age(time.time() - id_time(entry.id))


def _digest(spool: Spool, entry: Entry) -> Digest | None:
    """Digest a message; None if it has moved on since it was listed."""
    try:
        return bodies.digest(spool.read(entry))
    except FileNotFoundError:
        return None
    except OSError as error:  # a folder, a link, a FIFO, or not ours to read
        return Digest(text=f"({error.strerror})")


def _members(spool: Spool, entry: Entry, digest: Digest) -> dict[str, Any]:
    where = digest.conversation
    return {
        "id": entry.id,
        "state": entry.state.value,
        "arrived": None if entry.is_foreign else output.iso(id_time(entry.id)),
        "attempts": entry.attempts,
        "retry_at": _retry_at(spool, entry),
        "conversation": str(where) if where else None,
        "channel": where.channel if where else None,
        "account": where.account if where else None,
        "chat": where.chat if where else None,
        "chat_type": digest.chat_type or None,
        "label": digest.label or None,
        "sender": digest.sender or None,
        "sender_id": digest.sender_id or None,
        "channel_message_id": digest.channel_message_id or None,
        "source": digest.source or None,
        "model": digest.model or None,
        "attachments": list(digest.attachments),
        "text": digest.text,
    }


def _retry_at(spool: Spool, entry: Entry) -> str | None:
    with suppress(FileNotFoundError):
        moment = spool.retry_at(entry)
        return None if moment is None else output.iso(moment)
    return None


def show(
    place: Place,
    ids: Sequence[str],
    *,
    raw: bool = False,
    attachment: int | None = None,
    target: str | None = None,
    force: bool = False,
    as_json: bool = False,
) -> int:
    """Show messages: their digest, with `raw` the very bytes that came, or an attachment.

    The `attachment` of that number, from 1, is written to the file `target`, `-` for stdout.
    """
    if raw and as_json:
        raise UsageError("--raw and --json exclude each other")
    if attachment is not None or target is not None or force:
        if raw or as_json or attachment is None or target is None or len(ids) != 1:
            raise UsageError(
                "an attachment needs one message, its number and a file",
                hint="aap inbox show ID --attachment 1 --output FILE",
            )
        _extract(place.spool, ids[0], attachment, target, force)
        return Exit.OK
    first = True

    def show_one(message_id: str) -> None:
        nonlocal first
        spool = place.spool
        entry, body = _read(spool, message_id)
        if raw:
            output.write_bytes(body)
            return
        digest = bodies.digest(body)
        if as_json:
            _write_message(spool, entry, digest, body)
            return
        if not first:
            output.write("")
        first = False
        _print_message(spool, entry, digest, len(body))

    return _for_each(ids, show_one)


def _write_message(spool: Spool, entry: Entry, digest: Digest, body: bytes) -> None:
    members = _members(spool, entry, digest)
    members["attachments"] = [
        {"index": number, **each.facts()} for number, each in enumerate(bodies.attachments(body), 1)
    ]
    extra = {"size": len(body), "path": str(entry.path), "notes": spool.notes(entry.id)}
    output.write_json("aap.inbox.show/1", **members, **extra)


def _extract(spool: Spool, message_id: str, number: int, target: str, force: bool) -> None:
    """Write an attachment to a file that only its owner can read."""
    entry, body = _read(spool, message_id)
    there = bodies.attachments(body)
    if not 1 <= number <= len(there):
        has = f"{len(there)} attachments" if there else "no attachment"
        raise NotFoundError(f"{entry.id} has {has}", hint=f"aap inbox show {entry.id}")
    content = there[number - 1].content()
    if target == "-":
        output.write_bytes(content)
        return
    path = Path(target)
    if force:
        files.write_atomic(path, content)
        return
    try:
        with files.new_file(path) as fd:
            files.write_all(fd, content)
    except FileExistsError:
        raise UsageError(f"{target} is there already", hint="--force writes over it") from None


def _read(spool: Spool, message_id: str) -> tuple[Entry, bytes]:
    """Find and read; look again if the message moved in between."""
    for _ in range(10):
        entry = spool.find(message_id)
        with suppress(FileNotFoundError):
            return entry, spool.read(entry)
    raise TryAgainError(f"{message_id} keeps moving")


def _print_message(spool: Spool, entry: Entry, digest: Digest, size: int) -> None:
    sender = f"{digest.sender} ({digest.sender_id})" if digest.sender_id else digest.sender
    chat = " ".join(filter(None, (digest.label, digest.chat_type and f"({digest.chat_type})")))
    pairs = (
        ("id", entry.id),
        ("state", _state_text(spool, entry)),
        ("arrived", "" if entry.is_foreign else f"{_moment(id_time(entry.id))}, {_age(entry)} ago"),
        ("attempts", str(entry.attempts or "")),
        ("conversation", str(digest.conversation or "")),
        ("chat", chat),
        ("sender", sender or digest.sender_id),
        ("message id", digest.channel_message_id),
        ("attachments", ", ".join(f"{n}: {a}" for n, a in enumerate(digest.attachments, 1))),
        ("size", output.size(size)),
        ("file", str(entry.path)),
    )
    output.fields([(name, output.one_line(value)) for name, value in pairs])
    for note in spool.notes(entry.id):
        output.write(output.one_line(_note_text(note)))
    output.write(f"\n{output.harmless(digest.text, layout=True) or '(no text)'}")


def _state_text(spool: Spool, entry: Entry) -> str:
    if not entry.is_message:
        return f"{entry.state.value}, no message"
    moment = None
    with suppress(FileNotFoundError):
        moment = spool.retry_at(entry)
    if moment is None:
        return entry.state.value
    wait = moment - time.time()
    return f"{entry.state.value}, due {f'in {output.age(wait)}' if wait > 0 else 'now'}"


def _note_text(note: dict[str, Any]) -> str:
    """One line for what was noted of a message: when, what, why."""
    moment = note.get("time")
    when = _moment(moment) if isinstance(moment, (int, float)) else ""
    rest = [str(note[key]) for key in ("event", "state", "reason", "text") if note.get(key)]
    return f"{when}  {': '.join(rest)}"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def new(place: Place, *, conversation: str | None = None, as_json: bool = False) -> int:
    """Print the ids that wait in inbox/, oldest first; nothing, and still 0, if there are none."""
    spool = place.spool
    for entry in spool.entries(State.INBOX):
        if entry.is_foreign or not entry.is_message:
            continue
        if conversation is None and not as_json:
            output.write(entry.id)
            continue
        digest = _digest(spool, entry)
        if digest is None or not _belongs(digest, conversation):
            continue
        if as_json:
            output.write_json("aap.inbox.entry/1", **_members(spool, entry, digest))
        else:
            output.write(entry.id)
    return Exit.OK


def _belongs(digest: Digest, conversation: str | None) -> bool:
    return conversation is None or str(digest.conversation or "") == conversation


# Changing


def done(place: Place, ids: Sequence[str]) -> int:
    """Settle messages: they are handled, and no run will see them again."""

    def settle(message_id: str) -> None:
        entry = place.spool.find(message_id)
        if not entry.is_message:
            raise UsageError(f"{entry.id} is no message", hint=f"aap inbox rm {entry.id}")
        if place.spool.settle(entry.id):
            _tell(f"{entry.id} done")
        else:
            output.note(f"{entry.id} was done already")

    return _for_each(ids, settle)


def retry(place: Place, ids: Sequence[str]) -> int:
    """Let messages be handled (again) now, with all their attempts before them."""

    def back(message_id: str) -> None:
        entry = _find_idle(place.spool, message_id)
        if entry.state is State.INBOX and not entry.attempts:
            output.note(f"{entry.id} waits already")
            return
        with _taken_meanwhile(entry):
            place.spool.retry(entry)
        _tell(f"{entry.id} waits again")

    return _for_each(ids, back)


def rm(place: Place, ids: Sequence[str], *, yes: bool = False) -> int:
    """Delete messages for good; asks on a terminal, wants `yes` off one."""
    if not yes and ("-" in ids or not sys.stdin.isatty()):
        raise UsageError("deleting without a terminal to ask on needs --yes")

    def remove(message_id: str) -> None:
        entry = _find_idle(place.spool, message_id)
        if not yes and not output.ask(f"delete {_headline(place.spool, entry)}?"):
            output.note(f"{entry.id} kept")
            return
        with _taken_meanwhile(entry):
            place.spool.remove(entry)
        _tell(f"{entry.id} deleted")

    return _for_each(ids, remove)


def _headline(spool: Spool, entry: Entry) -> str:
    digest = _digest(spool, entry) or Digest()
    words = output.cut(output.one_line(digest.text), 40)
    return f'{output.one_line(entry.id)} ({entry.state.value}) "{words}"'


def _find_idle(spool: Spool, message_id: str) -> Entry:
    entry = spool.find(message_id)
    if entry.state is State.ACTIVE:
        raise TryAgainError(f"{entry.id} is being handled now", hint="try again when its run ends")
    return entry


@contextmanager
def _taken_meanwhile(entry: Entry) -> Iterator[None]:
    """Say it in words when a worker took the message between the look and the move."""
    try:
        yield
    except FileNotFoundError:
        raise TryAgainError(f"{entry.id} moved meanwhile", hint="try again") from None


def add(place: Place, source: str | None = None, *, text: str | None = None) -> int:
    """Put a message into the inbox: a request body from a file or stdin, or plain words."""
    if (source is None) == (text is None):
        raise UsageError("give a file, - for stdin, or --text", hint="aap inbox add --help")
    raw = _text_body(text) if text is not None else _read_source(source or "-")
    _check_body(raw, place.settings.max_body)
    workspace = place.spool.root.parent
    if not workspace.is_dir():
        raise UsageError(f"no workspace at {workspace}", hint=f"mkdir -p {workspace}")
    place.spool.create()
    output.write(place.spool.deliver(raw))
    return Exit.OK


def _text_body(text: str) -> bytes:
    import json

    body = {"model": "aap", "messages": [{"role": "user", "content": text}]}
    return json.dumps(body).encode()


def _read_source(source: str) -> bytes:
    return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()


def _check_body(raw: bytes, most: int) -> None:
    """Refuse what the API would refuse. Raises UsageError."""
    import json

    if len(raw) > most:
        raise UsageError(
            f"{output.size(len(raw))} is over MAX_BODY ({output.size(most)})",
            hint="aap config set MAX_BODY 32M",
        )
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise UsageError("nested too deeply to be a request") from None
    except ValueError as error:
        raise UsageError(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise UsageError("a message is a JSON object")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


# Several ids


def _for_each(ids: Sequence[str], act: Callable[[str], None]) -> int:
    """Do `act` for every id, also after one failed; return the highest exit code."""
    return max((_attempt(act, message_id) for message_id in _expand(ids)), default=Exit.OK)


def _attempt(act: Callable[[str], None], message_id: str) -> int:
    try:
        act(message_id)
    except AapError as error:
        output.warn(str(error), error.hint)
        return error.code
    except OSError as error:
        output.warn(f"{message_id}: {error.strerror or error}")
        return Exit.FAILED
    return Exit.OK


def _expand(ids: Sequence[str]) -> Iterator[str]:
    """Give the ids, with `-` replaced by the first word of each line of stdin."""
    for message_id in ids:
        if message_id != "-":
            yield message_id
            continue
        for line in sys.stdin:
            if words := line.split():
                yield words[0]


def _tell(text: str) -> None:
    """Confirm to a person; programs read the exit code."""
    if sys.stderr.isatty():
        output.note(text)


# For the shells' completion


def complete_ids(place: Place) -> int:
    """Print the ids of all messages that are not handled, and nothing else.

    Straight from the names: a shell waits for it, and there may be very many.
    """
    ids: list[str] = []
    for state in OPEN_STATES:
        with suppress(FileNotFoundError):
            ids += [
                name[:ID_CHARS]
                for name in os.listdir(place.spool.folder(state))
                if name[ID_CHARS : ID_CHARS + 1] in {".", "+"} and name[0] != "."
            ]
    if ids:
        output.write("\n".join(sorted(ids)))
    return Exit.OK

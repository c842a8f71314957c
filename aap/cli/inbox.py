"""`aap inbox ls`, `show`, `new`: the queue, for people and for agents. Nothing is changed here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aap import files, identity
from aap.cli import output
from aap.cli.place import Place
from aap.cli.targets import for_each
from aap.errors import Exit, NotFoundError, TryAgainError, UsageError
from aap.inbox import Entry, Spool
from aap.message import OPEN_STATES, Digest, State, first_id, id_time

LIMIT = 50
TEXT_OFF_TERMINAL = 160
_FEW = 20  # messages that are opened while a shell waits for words
_TAIL = 1 << 18  # bytes of a day's log that are searched meanwhile

Seen = tuple[Entry, Digest]
Period = tuple[str, str]  # the first id that is meant, and the first that is not any more

_COLOURS = {"active": "green", "deferred": "yellow", "hold": "cyan", "failed": "red", "done": "dim"}
_COLUMNS = (
    output.Column("STATE", 8, colours=_COLOURS),
    output.Column("ID", 32),
    output.Column("AGE", 7, right=True),
    output.Column("TRIES", 5, right=True),
    output.Column("RETRY", 9, right=True),
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
    conversation: str | None = None,
    since: str | None = None,
    older_than: str | None = None,
    limit: int | None = None,
    group: bool = False,
    show_all: bool = False,
    as_json: bool = False,
) -> int:
    """List messages, in the order in which they came; open only those that are shown.

    To find those of one conversation, others are opened too. With `group` the messages
    that are shown are put together by conversation.
    """
    chosen = tuple(State) if show_all else tuple(states) or OPEN_STATES
    period = _period(since, older_than)
    limit = _limit(as_json) if limit is None else limit
    seen, more = _page(place.spool, chosen, limit, period, conversation)
    if as_json:
        _write_list(place.spool, seen, group)
    elif seen:
        _print_list(place.spool, seen, group)
    else:
        narrowed = bool(conversation or since or older_than)
        output.note("no such messages" if narrowed else _nothing(place.spool, chosen))
    if more and not as_json:
        output.note(f"{more} more: --limit 0 shows all")
    return Exit.OK


def _period(since: str | None, older_than: str | None) -> Period:
    if since is None and older_than is None:
        return "", ""
    from aap.cli import when

    first = first_id(when.parse(since)) if since else ""
    return first, first_id(when.parse(older_than)) if older_than else ""


def _write_list(spool: Spool, seen: Sequence[Seen], group: bool) -> None:
    if not group:
        for entry, digest in seen:
            output.write_json("aap.inbox.entry/1", **members(spool, entry, digest))
        return
    for name, part in _by_conversation(seen):
        messages = [members(spool, entry, digest) for entry, digest in part]
        output.write_json("aap.inbox.group/1", conversation=name or None, messages=messages)


def _print_list(spool: Spool, seen: Sequence[Seen], group: bool) -> None:
    if not group:
        output.table(_COLUMNS, [_row(spool, *each) for each in seen], least=16)
        return
    rows: list[tuple[str, ...]] = []
    titles: dict[int, str] = {}
    for name, part in _by_conversation(seen):
        label = next((digest.label for _, digest in part if digest.label), "")
        count = output.counted(len(part), "message")
        title = f"{name or 'no conversation'}{label and f', {label}'}: {count}"
        titles[len(rows)] = output.one_line(title)
        rows += [_row(spool, *each) for each in part]
    kept = [i for i, column in enumerate(_COLUMNS) if column.title not in {"CHANNEL", "CHAT"}]
    narrow = [tuple(row[i] for i in kept) for row in rows]
    output.table([_COLUMNS[i] for i in kept], narrow, least=16, titles=titles)


def _by_conversation(seen: Sequence[Seen]) -> list[tuple[str, list[Seen]]]:
    groups: dict[str, list[Seen]] = {}
    for entry, digest in seen:
        groups.setdefault(str(digest.conversation or ""), []).append((entry, digest))
    return list(groups.items())


def _limit(as_json: bool) -> int:
    """A screenful on a terminal; for programs everything that they asked for."""
    if as_json:
        return 0
    height = output.lines()
    return LIMIT if height is None else max(10, height - 3)


def _page(
    spool: Spool,
    states: Sequence[State],
    limit: int,
    period: Period,
    conversation: str | None,
) -> tuple[list[Seen], str]:
    """Return what to show, and how many more there are: of waiting messages the first, else
    the last.
    """
    newest = State.DONE in states
    first, end = period
    if conversation is not None:
        entries, _ = spool.page(*states, since=first, until=end)
        return _find(spool, entries, limit, newest, conversation)
    shown, total = spool.page(*states, limit=limit or None, newest=newest, since=first, until=end)
    more = total - len(shown)
    return [each for entry in shown if (each := _see(spool, entry))], str(more or "")


def _find(
    spool: Spool, entries: Sequence[Entry], limit: int, newest: bool, conversation: str
) -> tuple[list[Seen], str]:
    """Pick those of a conversation; nothing is opened after the first too many.

    Names do not tell it, and of a hundred thousand messages each may have to be read.
    """
    found: list[Seen] = []
    progress = output.Progress(len(entries))
    for entry in reversed(entries) if newest else entries:
        each = _see(spool, entry)
        if each and _belongs(each[1], conversation):
            found.append(each)
        if limit and len(found) > limit:
            break
        progress.step()
    progress.close()
    shown = found[:limit] if limit else found
    return shown[::-1] if newest else shown, "some" if len(found) > len(shown) else ""


def _see(spool: Spool, entry: Entry) -> Seen | None:
    digest = read_digest(spool, entry)
    return (entry, digest) if digest else None


def _nothing(spool: Spool, states: Sequence[State]) -> str:
    if not spool.root.is_dir():
        return f"no messages: nothing has arrived in {spool.root} yet"
    handled = 0 if State.DONE in states else spool.count(State.DONE)
    return f"no messages wait; {handled} handled: aap inbox ls --all" if handled else "no messages"


def _row(spool: Spool, entry: Entry, digest: Digest) -> tuple[str, ...]:
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
        _due(spool, entry),
        *map(output.one_line, cells),
        output.one_line(words)
        if output.columns()
        else output.cut(output.one_line(words), TEXT_OFF_TERMINAL),
    )


def _due(spool: Spool, entry: Entry) -> str:
    with suppress(FileNotFoundError):
        moment = spool.retry_at(entry)
        if moment is not None:
            wait = moment - time.time()
            return f"in {output.age(wait)}" if wait > 0 else "now"
    return ""


def _age(entry: Entry) -> str:
    return "" if entry.is_foreign else output.age(time.time() - id_time(entry.id))


def read_digest(spool: Spool, entry: Entry) -> Digest | None:
    """Digest a message; None if it has moved on since it was listed."""
    from aap import bodies  # `new`, `done` and `wait` can do without

    try:
        return bodies.digest(spool.read(entry))
    except FileNotFoundError:
        return None
    except OSError as error:  # a folder, a link, a FIFO, or not ours to read
        return Digest(text=f"({error.strerror})")


def members(spool: Spool, entry: Entry, digest: Digest) -> dict[str, Any]:
    """Return the members of the schema `aap.inbox.entry/1`."""
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
        from aap import bodies

        digest = bodies.digest(body)
        if as_json:
            _write_message(spool, entry, digest, body)
            return
        if not first:
            output.write("")
        first = False
        _print_message(spool, entry, digest, len(body))

    return for_each(ids, show_one)


def _write_message(spool: Spool, entry: Entry, digest: Digest, body: bytes) -> None:
    from aap import bodies

    shown = members(spool, entry, digest)
    shown["attachments"] = [
        {"index": number, **each.facts()} for number, each in enumerate(bodies.attachments(body), 1)
    ]
    extra = {"size": len(body), "path": str(entry.path), "notes": spool.notes(entry.id)}
    output.write_json("aap.inbox.show/1", **shown, **extra)


def _extract(spool: Spool, message_id: str, number: int, target: str, force: bool) -> None:
    """Write an attachment to a file that only its owner can read."""
    from aap import bodies

    entry, body = _read(spool, message_id)
    there = bodies.attachments(body)
    if not 1 <= number <= len(there):
        has = output.counted(len(there), "attachment") if there else "no attachment"
        raise NotFoundError(f"{entry.id} has {has}", hint=f"aap inbox show {entry.id}")
    content = there[number - 1].content()
    if target == "-":
        output.write_bytes(content)
        return
    path = Path(target)
    try:
        # Not with the rights of whose the spool is: the file is the caller's.
        with identity.acting_for(path.parent):
            _write_file(path, content, force=force)
    except FileExistsError:
        raise UsageError(f"{target} is there already", hint="--force writes over it") from None


def _write_file(path: Path, content: bytes, *, force: bool) -> None:
    if force:
        files.write_atomic(path, content)
        return
    with files.naming(path), files.new_file(path) as fd:
        files.write_all(fd, content)


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
    notes = spool.notes(entry.id)
    if notes:
        output.write("")
    for note in notes:
        moment, said = _note_text(note)
        output.write_hanging(output.paint(moment, "dim") + "  ", output.one_line(said))
    output.write("")
    _print_text(digest.text or "(no text)")


def _print_text(text: str) -> None:
    """Print what was written, with its lines and indents; on a terminal long lines are filled."""
    for line in output.harmless(text, layout=True).split("\n"):
        words = line.lstrip()
        output.write_hanging(line[: len(line) - len(words)], words)


def _state_text(spool: Spool, entry: Entry) -> str:
    if not entry.is_message:
        return f"{entry.state.value}, no message"
    due = _due(spool, entry)
    return f"{entry.state.value}, due {due}" if due else entry.state.value


def _note_text(note: dict[str, Any]) -> tuple[str, str]:
    """Return what was noted of a message: when, and what and why."""
    moment = note.get("time")
    when = _moment(moment) if isinstance(moment, (int, float)) else ""
    rest = [str(note[key]) for key in ("event", "state", "reason", "text") if note.get(key)]
    return when, ": ".join(rest)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def waiting(
    spool: Spool, states: Sequence[State], conversation: str | None
) -> Iterator[tuple[Entry, Digest | None]]:
    """Give the messages of these states, oldest first; opened only to tell the conversation."""
    for entry in spool.entries(*states):
        if entry.is_foreign or not entry.is_message:
            continue
        if conversation is None:
            yield entry, None
            continue
        digest = read_digest(spool, entry)
        if digest and _belongs(digest, conversation):
            yield entry, digest


def new(place: Place, *, conversation: str | None = None, as_json: bool = False) -> int:
    """Print the ids that wait in inbox/, oldest first; nothing, and still 0, if there are none."""
    print_ids(place.spool, waiting(place.spool, (State.INBOX,), conversation), as_json=as_json)
    return Exit.OK


def print_ids(spool: Spool, found: Iterable[tuple[Entry, Digest | None]], *, as_json: bool) -> None:
    """Print ids, or what `ls --json` prints."""
    for entry, digest in found:
        if not as_json:
            output.write(entry.id)
            continue
        known = digest or read_digest(spool, entry)
        if known:
            output.write_json("aap.inbox.entry/1", **members(spool, entry, known))


def _belongs(digest: Digest, conversation: str | None) -> bool:
    return conversation is None or str(digest.conversation or "") == conversation


# For the shells' completion; ids are in aap.cli.names, without all this module needs


def complete_conversations(place: Place) -> int:
    """Print the conversations that the last logs name, and the first that wait.

    A name with a space in it is left out: shells would make two words of it.
    """
    spool = place.spool
    found = set(_logged_conversations(spool))
    for entry in spool.entries(State.INBOX, State.HOLD, limit=_FEW):
        digest = read_digest(spool, entry)
        if digest and digest.conversation:
            found.add(str(digest.conversation))
    names = sorted(name for name in found if name and name.isprintable() and " " not in name)
    if names:
        output.write("\n".join(names))
    return Exit.OK


def _logged_conversations(spool: Spool) -> Iterator[str]:
    from aap.log import parse_line

    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(spool.logs))[-2:]:
            with os.fdopen(files.open_plain(spool.logs / name), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                lines = [line for line in file.read().splitlines() if b" conversation=" in line]
            for raw in lines:
                line = parse_line(raw.decode("utf-8", "replace"))
                if line and line.event == "claimed":
                    yield line.fields.get("conversation", "")

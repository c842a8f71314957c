"""The commands that change something, each with what is true before and after it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aap import files
from aap.config import keys, registry
from aap.context.cache import Cache
from aap.message import State
from torture.faults.world import World

Bytes = dict[str, bytes]


class Command(NamedTuple):
    """A command line, the state it needs, and what must be true once it said that it is done.

    `prepare` returns the words that only then are known (an id), which take the place of
    `ID` in `argv`. `undone` tells what is wrong after success: nothing, if it was one.
    `twice` tells what is wrong after two of them, of which the first was refused: where
    it could not be taken back, that is as good.
    """

    name: str
    argv: tuple[str, ...]
    prepare: Callable[[World], str]
    undone: Callable[[World], Iterator[str]]
    stdin: str = ""
    twice: Callable[[World], Iterator[str]] | None = None


def _in(state: State, *texts: str) -> Callable[[World], str]:
    def prepare(world: World) -> str:
        put = world.deliver(*(texts or ("one",)), state=state)
        return next(iter(put))

    return prepare


def _all_in(state: State) -> Callable[[World], Iterator[str]]:
    def undone(world: World) -> Iterator[str]:
        yield from _are_in(world, state, *world.delivered)

    return undone


def _added(count: int) -> Callable[[World], Iterator[str]]:
    body = {"model": "aap", "messages": [{"role": "user", "content": "hi"}]}

    def undone(world: World) -> Iterator[str]:
        yield from _are_in(world, State.INBOX, *[json.dumps(body).encode()] * count)

    return undone


def _are_in(world: World, state: State, *bodies: bytes) -> Iterator[str]:
    there = Counter((each.state, each.path.read_bytes()) for each in world.spool.entries())
    if there != Counter((state, body) for body in bodies):
        yield f"not in {state.value}, each once and alone: {there}"


def _are_in_none(world: World) -> Iterator[str]:
    yield from _are_in(world, State.DONE)


def _nothing(world: World) -> str:
    return ""


def _expect(what: str, holds: Callable[[World], bool]) -> Callable[[World], Iterator[str]]:
    def undone(world: World) -> Iterator[str]:
        if not holds(world):
            yield f"{what}: it is not so"

    return undone


# Replies


def _message_to_answer(world: World) -> str:
    chat = world.script("chat.sh", f"cat >> {world.out}/chat; echo >> {world.out}/chat")
    world.settings |= {"AAP_DELIVERY": "command", "AAP_DELIVERY_CMD": str(chat)}
    return next(iter(world.deliver("one")))


def _is_answered(world: World) -> Iterator[str]:
    chat = world.out / "chat"
    said = chat.read_text().split() if chat.exists() else []
    if said != ["hello"]:
        yield f"the chat has {said}"


# Configuration


def _text(name: str, text: str) -> Callable[[World], str]:
    def prepare(world: World) -> str:
        path = world.config / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    return prepare


def _has(name: str, *words: str) -> Callable[[World], Iterator[str]]:
    def holds(world: World) -> bool:
        path = world.config / name
        text = path.read_text() if path.exists() else ""
        return all(text.count(word) == 1 for word in words)

    return _expect(f"{name} has {words}", holds)


def _lacks(name: str, word: str) -> Callable[[World], Iterator[str]]:
    def holds(world: World) -> bool:
        path = world.config / name
        return path.exists() and word not in path.read_text()

    return _expect(f"{name} lacks {word}", holds)


def _secret(world: World) -> str:
    path = world.config / "secrets/a2a-key"
    path.parent.mkdir(mode=0o700)
    path.write_text("hush\n")
    path.chmod(0o600)
    return ""


def _seed_file(world: World) -> str:
    path = world.out / "seed.conf"
    path.write_text("API_KEY=secret-of-the-seed\nA2A_KEY=another\nPORT=7055\nREPLY=empty\n")
    return str(path)


def _is_imported(world: World) -> Iterator[str]:
    yield from _has("aap.conf", "PORT=7055", "REPLY=empty")(world)
    yield from _has("keys", "imported sha256:")(world)
    yield from _has("secrets/a2a-key", "another")(world)


def _editor(world: World) -> str:
    _text("aap.conf", "# mine\nREPLY=empty\n")(world)
    editor = world.script("editor", 'grep -q RUN "$1" || echo RUN_TIMEOUT=5m >> "$1"')
    world.settings |= {"EDITOR": str(editor), "TMPDIR": str(world.root / "home")}
    return ""


def _one_key(world: World) -> str:
    keys.add_key(world.config / "keys", "phone", "a-key")
    return ""


def _another_workspace(world: World) -> str:
    (world.root / "other").mkdir()
    registry.add_workspace(world.config / "workspaces", "other", world.root / "other")
    return ""


def _folder(world: World) -> str:
    return str(world.root / "new/folder")


# The rest


def _paused(world: World) -> str:
    files.write_atomic(
        world.spool.root / "PAUSED", json.dumps({"since": 1, "reason": "x"}).encode()
    )
    return ""


def _is_paused(world: World) -> bool:
    return (world.spool.root / "PAUSED").exists()


def _one_block(world: World) -> str:
    Cache(world.spool.root).append("first")
    path = world.out / "text"
    path.write_text("BLOCK_ID: 001\nfirst, shorter\n")
    return str(path)


def _an_older_generation(world: World) -> str:
    file = _one_block(world)
    (world.spool.root / "context/cache.1.txt").write_text("older")
    return file


def _is_rewritten_once_more(world: World) -> Iterator[str]:
    yield from _blocks("first, shorter")(world)
    kept = (world.spool.root / "context/cache.1.txt").read_text()
    if kept != "older":
        yield f"an older generation was written over by {kept!r}"


def _blocks(*texts: str) -> Callable[[World], Iterator[str]]:
    def holds(world: World) -> bool:
        return tuple(block.text for block in Cache(world.spool.root).blocks()) == texts

    return _expect(f"the cache has {texts}", holds)


def _has_skills(world: World) -> bool:
    places = (".agents/skills", "skills", ".claude/skills")
    there = [file for place in places for file in (world.ws / place).glob("*/SKILL.md")]
    file = world.spool.root / "skills.json"
    manifest = json.loads(file.read_bytes())["files"] if file.exists() else ()
    copies = {str(file.relative_to(world.ws)) for file in there if ".claude" not in file.parts}
    return len(there) == 9 and set(manifest) == copies


def _sessions(world: World) -> str:
    for name in ("workspace", "1"):
        path = world.spool.root / f"sessions/{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    return ""


def _has_no_session(world: World) -> bool:
    return not list(world.spool.root.glob("sessions/*.json"))


_CHART = b"a chart" * 3000
_CHART_FILE = "../world/ws/chart.png"  # from the folder in which commands run


def _message_with_a_chart(world: World) -> str:
    url = f"data:image/png;base64,{b64encode(_CHART).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    raw = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
    return world.spool.deliver(raw)


def _message_with_a_chart_again(world: World) -> str:
    (world.ws / "chart.png").write_bytes(b"an older one")
    return _message_with_a_chart(world)


def _has_chart(world: World) -> bool:
    path = world.ws / "chart.png"
    return path.exists() and path.read_bytes() == _CHART


def _openclaw(world: World) -> str:
    path = world.root / "home/.openclaw/openclaw.json"
    path.parent.mkdir()
    path.write_text("// mine\n{}\n")
    path.chmod(0o600)
    return ""


def _openclaw_is_set(world: World) -> bool:
    folder = world.root / "home/.openclaw"
    kept = [path.read_text() for path in folder.glob("*.before-aap*")]
    text = (folder / "openclaw.json").read_text()
    return kept[:1] == ["// mine\n{}\n"] and text.startswith("// mine") and "aap" in text


def _one_of_each(world: World) -> str:
    """Make something that can be looked at."""
    _another_workspace(world)
    _one_key(world)
    _one_block(world)
    return next(iter(world.deliver("one")))


def _always(world: World) -> Iterator[str]:
    """To look changes nothing."""
    yield from ()


DONE, INBOX, HOLD, FAILED, DEFERRED = (
    State.DONE, State.INBOX, State.HOLD, State.FAILED, State.DEFERRED
)  # fmt: skip

COMMANDS = (
    Command("add", ("inbox", "add", "--text", "hi"), _nothing, _added(1), twice=_added(2)),
    Command("done", ("inbox", "done", "ID"), _in(INBOX), _all_in(DONE)),
    Command("done all", ("inbox", "done", "--all", "--state", "deferred"),
            _in(DEFERRED, "one", "two", "three"), _all_in(DONE)),
    Command("retry", ("inbox", "retry", "ID"), _in(FAILED), _all_in(INBOX)),
    Command("hold", ("inbox", "hold", "ID"), _in(INBOX), _all_in(HOLD)),
    Command("release", ("inbox", "release", "ID"), _in(HOLD), _all_in(INBOX)),
    Command("rm", ("inbox", "rm", "--yes", "ID"), _in(DONE), _are_in_none),
    Command("reply", ("reply", "ID", "hello"), _message_to_answer, _is_answered),
    Command("config set", ("config", "set", "RETRY_MAX", "2h"),
            _text("aap.conf", "# mine\nREPLY=empty\n"), _has("aap.conf", "# mine", "RETRY_MAX=2h")),
    Command("config set, first", ("config", "set", "RETRY_MAX", "2h"),
            _nothing, _has("aap.conf", "RETRY_MAX=2h")),
    Command("config set secret", ("config", "set", "A2A_KEY", "hush"),
            _nothing, _has("secrets/a2a-key", "hush")),
    Command("config unset", ("config", "unset", "REPLY"),
            _text("aap.conf", "# mine\nREPLY=empty\n"), _lacks("aap.conf", "REPLY")),
    Command("config unset secret", ("config", "unset", "A2A_KEY"), _secret,
            _expect("no secret", lambda w: not (w.config / "secrets/a2a-key").exists())),
    Command("config import", ("config", "import", "ID"), _seed_file, _is_imported),
    Command("config edit", ("config", "edit"), _editor,
            _has("aap.conf", "# mine", "RUN_TIMEOUT=5m")),
    Command("key new", ("key", "new", "phone"), _nothing, _has("keys", "phone sha256:")),
    Command("key revoke", ("key", "revoke", "phone"), _one_key, _lacks("keys", "phone")),
    Command("workspace add", ("workspace", "add", "new", "ID"),
            _folder, _has("workspaces", "new /")),
    Command("workspace use", ("workspace", "use", "other"),
            _another_workspace, _has("workspaces", "* other /")),
    Command("workspace rm", ("workspace", "rm", "other"),
            _another_workspace, _lacks("workspaces", "other")),
    Command("pause", ("pause", "--reason", "lunch"), _nothing, _expect("paused", _is_paused)),
    Command("resume", ("resume",), _paused, _expect("resumed", lambda w: not _is_paused(w))),
    Command("context append", ("context", "append", "more"),
            _one_block, _blocks("first", "more"), twice=_blocks("first", "more", "more")),
    Command("context rewrite", ("context", "rewrite", "ID"),
            _one_block, _blocks("first, shorter")),
    Command("context rewrite again", ("context", "rewrite", "ID"),
            _an_older_generation, _is_rewritten_once_more),
    Command("skills install", ("skills", "install"),
            _nothing, _expect("the skills are there", _has_skills)),
    Command("agent init", ("agent", "init"),
            _sessions, _expect("there is no session", _has_no_session)),
    Command("inbox show, to a file",
            ("inbox", "show", "ID", "--attachment", "1", "--output", _CHART_FILE),
            _message_with_a_chart, _expect("the chart is there", _has_chart)),
    Command("inbox show, over a file",
            ("inbox", "show", "ID", "--attachment", "1", "--output", _CHART_FILE, "--force"),
            _message_with_a_chart_again, _expect("the chart is there", _has_chart)),
    Command("openclaw setup", ("openclaw", "setup", "--write"),
            _openclaw, _expect("it is set", _openclaw_is_set)),
    *(Command(" ".join(words), words, _one_of_each, _always)
      for words in (("inbox", "ls", "--all"), ("inbox", "show", "ID"), ("inbox", "new"),
                    ("explain", "ID"), ("context", "show"), ("key", "ls"), ("workspace", "ls"),
                    ("config", "list"), ("logs", "--today"), ("inbox", "stats"))),
)  # fmt: skip

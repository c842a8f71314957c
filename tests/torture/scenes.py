"""What is recorded for `crash`: real calls of aap, each told of before and after.

    python -m torture.scenes FOLDER NAME...

Each scene works in a folder of its own below FOLDER. It prints a JSON object a line: what
is `key`, what becomes of it (`to`, see `crash.observe`), and when that was promised. What
stands before the line `start` is taken to be on the disk.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness import poster

from aap import SPOOL_FOLDER, context, files
from aap.bodies import digest
from aap.config import keys, registry, store, takeover
from aap.context import usage as usage_
from aap.context.cache import Cache
from aap.copies import Copies
from aap.delivery.reply import Way, send_reply
from aap.inbox import Entry, Pause, Spool, end_pause, write_pause
from aap.message import State
from aap.mode import USER
from aap.openclaw.document import read_document
from aap.openclaw.setup import write as change_openclaw
from aap.systemd import install, record, units
from aap.systemd import uninstall as removal
from aap.systemd.manager import Manager
from aap.worker import hook
from aap.worker.outage import Outage
from aap.worker.sessions import Session, Slot

LATER = 4102444800.0  # 2100: a retry time that is never due
ABSENT = "absent"


def body(key: str) -> bytes:
    """The request whose bytes are known by `key`; of a conversation, where it has one."""
    chat = key.partition("@")[2]
    whose = {"channel": "telegram", "target": chat} if chat else {}
    size = 40 + 37 * (sum(key.encode()) % 7)
    facts = {"key": key, "messages": [{"role": "user", "content": "x" * size}], **whose}
    return json.dumps(facts).encode()


def _say(**facts: object) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


@contextmanager
def change(key: str, *to: str) -> Iterator[None]:
    """Within this `key` becomes one of `to`; after it, that is promised."""
    _say(begin=key, to=to)
    yield
    _say(end=key)


def write(path: Path, act: Callable[[], object]) -> None:
    """Tell of a call that writes a file: afterwards it has its new content, or is gone."""
    with writing(path):
        act()


@contextmanager
def writing(*paths: Path) -> Iterator[None]:
    """Within this each of these files is what it was or will be; after it, it is that."""
    for path in paths:
        _say(begin=f"file {path.name}")
    yield
    for path in paths:
        _say(end=f"file {path.name}", to=[path.read_text() if path.exists() else ABSENT])


class Scene:
    """The folder of one scene, and its spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.spool = Spool(folder / SPOOL_FOLDER)

    def start(self) -> None:
        """What was done before is on the disk."""
        _say(start=self.folder.name)

    def put(self, key: str) -> Entry:
        """Deliver before the start."""
        with change(key, "inbox+0"):
            message_id = self.spool.deliver(body(key))
        _say(id=message_id, of=key)
        return self.spool.find(message_id)

    def find(self, entry: Entry) -> Entry:
        return self.spool.find(entry.id)


# Messages come


def create(scene: Scene) -> None:
    """The very first message, into a workspace without a spool."""
    scene.start()
    scene.spool.create()
    with change("first", "inbox+0"):
        scene.spool.deliver(body("first"))


def deliver(scene: Scene) -> None:
    scene.spool.create()
    scene.start()
    for key in ("one", "two"):
        with change(key, "inbox+0"):
            scene.spool.deliver(body(key))


def _commit(scene: Scene, count: int) -> None:
    scene.spool.create()
    scene.start()
    keys_ = [f"m{number}" for number in range(count)]
    for key in keys_:
        _say(begin=key, to=["inbox+0"])
    staged = [scene.spool.stage(body(key)) for key in keys_]
    errors = scene.spool.commit(staged)
    assert not any(errors)
    for key in keys_:
        _say(end=key)


def commit_few(scene: Scene) -> None:
    """A group commit that syncs each file."""
    _commit(scene, 3)


def commit_many(scene: Scene) -> None:
    """A group commit by one syncfs, where the file system is one of those that do."""
    _commit(scene, 4)


def discard(scene: Scene) -> None:
    scene.spool.create()
    scene.start()
    scene.spool.discard(scene.spool.stage(body("never")))


def adopt(scene: Scene) -> None:
    """A file is copied in, as `cp` does it, and taken in by the worker."""
    scene.spool.create()
    scene.start()
    _say(begin="foreign", to=["foreign", ABSENT])
    path = scene.spool.folder(State.INBOX) / "by-hand.json"
    path.write_bytes(body("foreign"))
    _say(end="foreign")
    (entry,) = scene.spool.entries(State.INBOX)
    with change("foreign", "inbox+0"):
        scene.spool.adopt(entry)


def put_aside(scene: Scene) -> None:
    """What is no message; it is the known bytes all the same, to be known again."""
    scene.spool.create()
    (scene.spool.folder(State.INBOX) / "photo.d").write_bytes(body("photo"))
    _say(begin="photo", to=["foreign"])
    _say(end="photo")
    scene.start()
    (entry,) = scene.spool.entries(State.INBOX)
    with change("photo", "aside"):
        scene.spool.put_aside(entry, "not a JSON object")


# Messages go their way


def settle(scene: Scene) -> None:
    scene.spool.create()
    entry = scene.put("one")
    scene.start()
    with change("one", "inbox+0"):
        scene.spool.claim(entry)
    with change("one", "done+0"):
        scene.spool.settle(entry.id)
    scene.spool.settle(entry.id)


def settle_waiting(scene: Scene) -> None:
    """`aap inbox done` of messages that no run has."""
    spool = scene.spool
    spool.create()
    inbox, hold, late, failed = (scene.put(key) for key in ("inbox", "hold", "late", "failed"))
    with change("hold", "hold+0"):
        spool.hold(hold)
    with change("late", "deferred+1"):
        spool.defer(spool.claim(late), LATER, "why")
    with change("failed", "failed+1"):
        spool.fail(spool.claim(failed), "why")
    scene.start()
    for entry, key in ((inbox, "inbox"), (hold, "hold"), (late, "late"), (failed, "failed")):
        with change(key, f"done+{spool.find(entry.id).attempts}"):
            spool.settle(entry.id)


def defer(scene: Scene) -> None:
    scene.spool.create()
    entry = scene.spool.claim(scene.put("one"))
    scene.start()
    for tries in (1, 2):
        with change("one", f"deferred+{tries}"):
            scene.spool.defer(entry, LATER, "exit code 3")
        with change("one", f"inbox+{tries}"):
            entry = scene.spool.claim(scene.find(entry))


def admit(scene: Scene) -> None:
    spool = scene.spool
    spool.create()
    entries = [spool.claim(scene.put(key)) for key in ("one", "two")]
    for key, entry in zip(("one", "two"), entries, strict=True):
        with change(key, "deferred+1"):
            spool.defer(entry, 1.0, "why")
    scene.start()
    with change("one", "inbox+1"), change("two", "inbox+1"):
        spool.admit(time.time())


def fail(scene: Scene) -> None:
    scene.spool.create()
    entry = scene.spool.claim(scene.put("one"))
    scene.start()
    with change("one", "failed+1"):
        scene.spool.fail(entry, "why")
    with change("one", "inbox+0"):
        scene.spool.retry(scene.find(entry))


def hold(scene: Scene) -> None:
    scene.spool.create()
    entry = scene.put("one")
    scene.start()
    with change("one", "hold+0"):
        scene.spool.hold(entry)
    with change("one", "inbox+0"):
        scene.spool.release(scene.find(entry))


def retry_done(scene: Scene) -> None:
    scene.spool.create()
    entry = scene.put("one")
    with change("one", "done+0"):
        scene.spool.settle(entry)
    scene.start()
    with change("one", "inbox+0"):
        scene.spool.retry(scene.find(entry))


def give_back(scene: Scene) -> None:
    scene.spool.create()
    entry = scene.put("one")
    scene.start()
    with change("one", "inbox+0"):
        scene.spool.give_back(scene.spool.claim(entry))


def recover(scene: Scene) -> None:
    """The power fails again while the first failure is mended."""
    scene.spool.create()
    for key in ("one", "two"):
        scene.spool.claim(scene.put(key))
    (scene.spool.folder(State.INBOX) / f".{'0' * 20}.json").write_bytes(b"torn")
    scene.start()
    with scene.spool.lock():
        scene.spool.recover()


def mend(scene: Scene) -> None:
    """Of two names that a power cut left to a message, one is taken away."""
    scene.spool.create()
    entry = scene.spool.claim(scene.put("one"))
    with change("one", "done+0"):
        os.link(entry.path, scene.spool.folder(State.DONE) / entry.path.name)
    scene.start()
    with scene.spool.lock():
        scene.spool.recover()


def together(scene: Scene) -> None:
    """Several messages changed by one command."""
    scene.spool.create()
    entries = {key: scene.put(key) for key in ("one", "two", "three")}
    scene.start()
    for key in entries:
        _say(begin=key, to=["done+0"])
    with scene.spool.together():
        for entry in entries.values():
            scene.spool.settle(entry)
    for key in entries:
        _say(end=key)


def remove(scene: Scene) -> None:
    scene.spool.create()
    entry = scene.put("one")
    scene.spool.note(entry.id, event="why")
    scene.start()
    with change("one", ABSENT):
        scene.spool.remove(entry)


def prune(scene: Scene) -> None:
    """What was pruned may come back to done/ once more: it was no promise."""
    scene.spool.create()
    for key in ("one", "two"):
        entry = scene.put(key)
        scene.spool.note(entry.id, event="why")
        with change(key, "done+0"):
            scene.spool.settle(entry)
    scene.start()
    with change("one", ABSENT, "done+0"), change("two", ABSENT, "done+0"):
        scene.spool.prune(0, 0, time.time() + 60)


# What is remembered of them


def note(scene: Scene) -> None:
    """Notes, the first of which makes the file."""
    scene.spool.create()
    entry = scene.put("one")
    scene.start()
    for word in ("first", "second"):
        with change(f"note {word}", "noted"):
            scene.spool.note(entry.id, event=word)


def reply(scene: Scene) -> None:
    """A reply: the program that sends it must not start before the intent is on the disk."""
    scene.spool.create()
    key = "one@42"
    entry = scene.put(key)
    program = """cat >/dev/null; echo '{"end": "note reply"}'"""
    way = Way("command", shlex.join(["sh", "-c", program]))
    scene.start()
    _say(begin="note reply", to=["noted"])
    send_reply(scene.spool, way, entry.id, digest(body(key)), "an answer")


# Files that stand for a fact


def pause(scene: Scene) -> None:
    root = scene.spool.root
    scene.spool.create()
    scene.start()
    write(root / "PAUSED", lambda: write_pause(root, Pause(1.0, "lunch")))
    write(root / "PAUSED", lambda: write_pause(root, Pause(1.0, "lunch", unwatched=True)))
    write(root / "PAUSED", lambda: end_pause(root))


def session(scene: Scene) -> None:
    root = scene.spool.root
    scene.spool.create()
    scene.start()
    slot = Slot(root, None)
    write(root / "sessions" / "workspace.json", lambda: slot.write(Session("key", "a", 1.0)))
    write(root / "sessions" / "workspace.json", lambda: slot.write(Session("key", "b", 2.0)))
    write(root / "sessions" / "workspace.json", lambda: _aap(scene, "agent", "init"))


def outage(scene: Scene) -> None:
    root = scene.spool.root
    scene.spool.create()
    scene.start()
    known = Outage(root)
    write(root / "OUTAGE", lambda: known.begin_or_go_on("no network", 1.0))
    write(root / "OUTAGE", lambda: known.begin_or_go_on("no network", 2.0))


def cache(scene: Scene) -> None:
    """The context cache: two blocks, and a new generation."""
    root = scene.spool.root
    scene.spool.create()
    scene.start()
    kept = Cache(root)
    write(kept.path, lambda: kept.append("the first block"))
    write(kept.path, lambda: kept.append("the second block", [1]))
    text = "BLOCK_ID: 003\nboth in one\n"
    with change("file cache.1.txt", kept.path.read_text()):
        write(kept.path, lambda: kept.rewrite(text))


def usage(scene: Scene) -> None:
    root = scene.spool.root
    scene.spool.create()
    scene.start()
    for number in (1.0, 2.0):
        with change(f"run {number:g}", "counted"):
            _record_run(root, number)


def _record_run(root: Path, moment: float) -> None:
    facts = {"time": moment, "agent": "echo", "input": 1, "cached": 0, "output": 1}
    context.record(root, facts)


def trim(scene: Scene) -> None:
    """The runs have become many: the oldest are left out."""
    root = scene.spool.root
    scene.spool.create()
    usage_.MAX_BYTES, usage_.KEEP_LINES = 150, 2
    with change("run 1", "counted"), change("run 2", "counted"):
        _record_run(root, 1.0)
        _record_run(root, 2.0)
    scene.start()
    with change("run 1", "counted", ABSENT), change("run 3", "counted"):
        _record_run(root, 3.0)


def settings(scene: Scene) -> None:
    """`aap config set` and `unset`, and a secret in a file of its own."""
    scene.start()
    file = scene.folder / "config" / "aap.conf"
    write(file, lambda: store.set_value(file, "PORT", "7012"))
    write(file, lambda: store.set_value(file, "AGENT", "codex"))
    write(file, lambda: store.unset_value(file, "PORT"))
    secrets = scene.folder / "config" / "secrets"
    write(secrets / "api-key", lambda: store.set_secret(secrets, "API_KEY", "aap_one"))
    write(secrets / "api-key", lambda: store.unset_secret(secrets, "API_KEY"))


def edited(scene: Scene) -> None:
    """What `aap config edit` does when the editor was left."""
    file = scene.folder / "config" / "aap.conf"
    store.set_value(file, "PORT", "7012")
    _say(begin="file aap.conf", to=[file.read_text()])
    _say(end="file aap.conf")
    scene.start()
    text = "# mine\nPORT=7013\nAGENT=codex\n"
    write(file, lambda: store.replace_text(file, file.read_text(), text))


def imported(scene: Scene) -> None:
    """`aap config import`: a setting, a client's key, and the key between agents."""
    seed = scene.folder / "seed.conf"
    seed.write_text("PORT=7012\nAPI_KEY=aap_0123456789\nA2A_KEY=aap_9876543210\n")
    scene.start()
    config = scene.folder / "config"
    target, known = config / "aap.conf", config / "keys"
    with writing(target, known, config / "secrets" / "a2a-key"):
        takeover.import_seed(seed, target, known)


def copied(scene: Scene) -> None:
    """What `aap skills install` and the man pages are put in place by; then a newer aap's."""
    scene.start()
    for version, names in (("1", ("first", "second")), ("2", ("second", "third"))):
        wanted = {f"{name}/{name}.md": f"{name} of {version}".encode() for name in names}
        paths = [scene.folder / f"{name}/{name}.md" for name in ("first", "second", "third")]
        with writing(*paths):
            Copies(scene.folder, wanted, scene.folder / "manifest.json").put()


def gateway(scene: Scene) -> None:
    """`aap openclaw setup`: the file, and what it was before."""
    file = scene.folder / "openclaw.json"
    backup, before = f"file {file.name}.before-aap", "{ a: 1 }\n"
    files.write_atomic(file, before.encode())
    with change(f"file {file.name}", before):
        pass
    scene.start()
    document = read_document({"OPENCLAW_CONFIG_PATH": str(file), "HOME": str(scene.folder)})
    # The backup is written under its own name: until the end it may be torn.
    write(file, lambda: change_openclaw(document, [(("b",), "c" * 40)]))
    with change(backup, before):
        pass


class _Silent:
    """In place of a systemd's manager, which has no part in what is on the disk."""

    def tell(self, *_words: str, **_how: float) -> None: ...

    ask = tell

    def show(self, *_units: str) -> dict[str, Any]:
        return {}


def installed(scene: Scene) -> None:
    """The files of `aap install --user`, and those that follow when a setting is another."""
    os.environ |= {"XDG_DATA_HOME": str(scene.folder / "data")}
    os.environ |= {"XDG_STATE_HOME": str(scene.folder / "state")}
    scene.start()
    for port in (7011, 7012):
        plan = units.Plan(
            sys.executable, f"127.0.0.1:{port}", {"main": scene.folder / "work"}, scene.folder
        )
        wish: Any = SimpleNamespace(linger=False, folders=(), workspaces={})
        manager: Any = _Silent()
        made = [record.record_file(plan.mode)]
        made += [record.unit_folder(plan.mode) / name for name in units.render(plan)]
        assert all(path.is_relative_to(scene.folder) for path in made)
        with writing(*made):
            installation = install._Installation(manager, wish, plan)
            installation._remember()
            installation._write_units()
            installation._undo.pop_all()


def uninstall(scene: Scene) -> None:
    """Units that are deleted must not be there again, and start."""
    home = scene.folder / "home"
    places = {"XDG_DATA_HOME": str(home / "share"), "XDG_CONFIG_HOME": str(home / "config")}
    before = dict(os.environ)
    os.environ.update(places)
    try:
        folder = record.unit_folder(USER)
        files.make_folder(folder)
        units = [folder / "aap-api.service", folder / "aap-api.socket"]
        for unit in units:
            write(unit, partial(files.write_atomic, unit, b"[Unit]\n"))
        scene.start()
        for unit in units:
            _say(begin=f"file {unit.name}", to=[ABSENT])
        removal._delete(Manager(USER), None)
        for unit in units:
            _say(end=f"file {unit.name}")
    finally:
        os.environ.clear()
        os.environ.update(before)


def key_file(scene: Scene) -> None:
    """`aap key new` and `revoke`."""
    scene.start()
    file = scene.folder / "config" / "keys"
    write(file, lambda: keys.add_key(file, "phone", "aap_0123456789"))
    write(file, lambda: keys.add_key(file, "desk", "aap_9876543210"))
    write(file, lambda: keys.remove_key(file, "phone"))


def workspaces(scene: Scene) -> None:
    """`aap workspace add`, `use` and `rm`."""
    scene.start()
    file = scene.folder / "config" / "workspaces"
    write(file, lambda: registry.add_workspace(file, "work", scene.folder / "work"))
    write(file, lambda: registry.mark_default(file, "work"))
    write(file, lambda: registry.remove_workspace(file, "work"))


# The real programs


def api(scene: Scene) -> None:
    """Three clients at the same time, and a retry of one; each is promised by its 200."""
    _serve(scene, ("one@1", "two@2", "three@3"))


def api_crowd(scene: Scene) -> None:
    """Six: what waits together is committed together, from four on by one syncfs."""
    _serve(scene, ("one@1", "two@2", "three@3", "four@4", "five@5", "six@6"))


def _serve(scene: Scene, all_keys: Sequence[str]) -> None:
    scene.spool.create()
    url = str(scene.folder.parent.parent / f"{scene.folder.name}.sock")
    argv = ["-m", "aap.api", "--workspace", str(scene.folder), "--bind", f"unix:{url}"]
    with subprocess.Popen(
        [sys.executable, *argv], env=_environment(), cwd=scene.folder, stderr=subprocess.DEVNULL
    ) as server:
        while not Path(url).exists():
            assert server.poll() is None
            time.sleep(0.05)
        scene.start()
        with ThreadPoolExecutor(len(all_keys)) as clients:
            list(clients.map(lambda key: _post(url, key), all_keys))
        _post(url, all_keys[1])
        server.terminate()


def _post(url: str, key: str) -> None:
    with change(key, "inbox+0"):
        poster.deliver(url, key, body(key), Counter())


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("AAP_")}


def commands(scene: Scene) -> None:
    """`aap inbox add`, `hold` and `done`: what they did is promised when they end."""
    scene.spool.create()
    ids = [scene.put(key).id for key in ("one", "two")]
    scene.start()
    with change("added", "inbox+0"):
        _command(scene, "add", "-", stdin=body("added"))
    with change("one", "hold+0"), change("two", "hold+0"):
        _command(scene, "hold", *ids)
    with change("one", "done+0"), change("two", "done+0"):
        _command(scene, "done", *ids)


def _command(scene: Scene, *words: str, stdin: bytes = b"") -> None:
    _aap(scene, "inbox", *words, stdin=stdin)


def _aap(scene: Scene, *words: str, stdin: bytes = b"") -> None:
    program = str(Path(sys.executable).with_name("aap"))
    environment = _environment() | {"AAP_WORKSPACE": str(scene.folder)}
    subprocess.run([program, *words], input=stdin, env=environment, check=True, capture_output=True)


def worker(scene: Scene) -> None:
    """A whole run: claimed, handed to an agent that only says what it got, settled."""
    _work(scene, "done+0", AGENT="echo")


def worker_fails(scene: Scene) -> None:
    """A run that fails: both are put off."""
    _work(scene, "deferred+1", ("one@7", "two@8"), AGENT_CLI="false")


def worker_gives_up(scene: Scene) -> None:
    """A run that fails for the last time, and FAILED_REPLY to the chats."""
    send = scene.folder / "send"
    send.write_text("""#!/bin/sh\ncat >/dev/null; echo '{"end": "note reply"}'\n""")
    send.chmod(0o755)
    apology = {"FAILED_REPLY": "sorry", "DELIVERY": "command", "DELIVERY_CMD": str(send)}
    _work(scene, "failed+1", ("one@7",), AGENT_CLI="false", MAX_ATTEMPTS="1", **apology)


def _work(scene: Scene, to: str, keys: Sequence[str] = ("one@7", "two@7"), **set_: str) -> None:
    """Have a worker do all that waits; its word "settled" is a promise, and its end is."""
    scene.spool.create()
    lines = [f"{name}={value}\n" for name, value in {"SETTLE": "0", **set_}.items()]
    (scene.folder / ".ai-agent-proxy.conf").write_text("".join(lines))
    for key in keys:
        scene.put(key)
    scene.start()
    if "FAILED_REPLY" in set_:
        _say(begin="note reply", to=["noted"])
    for key in keys:
        _say(begin=key, to=[to])
    argv = [sys.executable, "-m", "aap.worker", "--workspace", str(scene.folder)]
    subprocess.run(argv, check=True, env=_environment(), cwd=scene.folder)
    if to != "done+0":
        for key in keys:
            _say(end=key)


def told(scene: Scene) -> None:
    """A hook in mid-run: it tells of what came, and claims it at the next event."""
    scene.spool.create()
    scene.spool.claim(scene.put("one@42"))
    facts = {"pid": 1, "started": 1.0, "conversations": [str(digest(body("one@42")).conversation)]}
    files.write_atomic(scene.spool.root / hook.RUN_FILE, json.dumps(facts).encode())
    entry = scene.put("two@42")
    scene.start()
    event = json.dumps({"hook_event_name": "PostToolUse"}).encode()
    with Path(os.devnull).open("wb") as answer:
        for _ in range(2):
            hook.tell(scene.folder, event, answer.fileno())
    assert scene.find(entry).state is State.ACTIVE
    with change("two@42", "done+0"):
        scene.spool.settle(scene.find(entry))
    hook.forget_run(scene.spool.root)


SCENES = {
    each.__name__: each
    for each in (
        create, deliver, commit_few, commit_many, discard, adopt, put_aside, settle,
        settle_waiting, defer, admit, fail, hold, retry_done, give_back, recover, mend, together,
        remove, prune, note, reply, pause, session, outage, cache, usage, settings, uninstall,
        key_file, workspaces, api, commands, worker,
        api_crowd, worker_fails, worker_gives_up, told, trim, edited, imported, copied, gateway,
        installed,
    )
}  # fmt: skip


def heir(folder: Path) -> None:
    """What comes after a process that was killed: it goes on from what it finds, and promises."""
    spool = Spool(folder / SPOOL_FOLDER)
    spool.create()
    with spool.lock():
        spool.recover()
    for entry in spool.entries():
        if not entry.is_foreign and entry.is_message:
            key = json.loads(spool.read(entry))["key"]
            if (spool.root / "notes" / f"{entry.id}.jsonl").exists():
                with change(f"note {key}", "noted"):
                    spool.note(entry.id, event=key)
            if entry.state is State.DONE:
                with change(key, f"done+{entry.attempts}"):
                    spool.settle(entry.id)
    with change("heir", "inbox+0"):
        spool.deliver(body("heir"))


def main(folder: str, *names: str) -> None:
    """Play the scenes named, or the heir of one."""
    for name in names:
        if name == "heir":
            heir(Path(folder))
        else:
            SCENES[name](Scene(Path(folder, name)))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A spool outlives the aap that wrote it: older ones are read, newer ones are left alone.

`fixtures/spools/N` was written by the first version of aap with that format, and is never
made anew: every later version must read it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from harness.command import AAP, execute
from harness.workbench import Bench

from aap.context.cache import Cache
from aap.delivery import told
from aap.errors import FormatError
from aap.inbox import Spool, end_pause, read_pause
from aap.message import State
from aap.worker.sessions import Slot

GOLDEN = Path(__file__).parent / "fixtures/spools"
# What the golden spool holds: id, attempts, state. The put-aside file is no message.
HELD = {
    ("1k17k7mmgn70atjp5xm6", 0, "done"),
    ("1k17k7mmyq1dvbqjgx5j", 5, "failed"),
    ("1k17k7mq5h57v90pffd2", 0, "failed"),
    ("1k17k7mqmc3kvvengd9v", 2, "deferred"),
    ("1k17k7mr044h71nx3a1p", 0, "hold"),
    ("1k17k7mr3rj0w5awght1", 0, "active"),
    ("1k17k7mr7y0phftybjb2", 0, "inbox"),
    ("1k17k7mra7807016ebta", 0, "inbox"),
    ("by hand.json", 0, "inbox"),
}
DEFERRED = "1k17k7mqmc3kvvengd9v"


def lay_out(number: int, workspace: Path) -> Bench:
    """A workspace that has lived with a spool of this format."""
    root = workspace / ".ai-agent-proxy"
    shutil.copytree(GOLDEN / str(number), root)
    due = time.time() + 3000
    os.utime(root / f"deferred/{DEFERRED}+2.json", (due, due))  # git keeps no times
    return Bench(workspace, Spool(root))


def add_what_a_newer_one_may(bench: Bench) -> Bench:
    """All that this aap must leave alone, because it does not raise the number."""
    root = bench.spool.root
    (root / "archive").mkdir()
    (root / "archive/2026.tar").write_text("?")
    (root / "INDEX").write_text("?")
    (root / "inbox/.index").write_text("?")
    with (root / f"notes/{DEFERRED}.jsonl").open("a") as notes:
        notes.write('{"time": 1, "event": "translated", "into": {"it": "ciao"}}\n[1]\n"?"\n')
    for name in ("sessions/workspace.json", "OUTAGE", "PAUSED"):
        path = root / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "newer": [1]}))
    (root / "RUN").write_text('{"newer": 1}')
    return bench


@pytest.fixture(params=["first", "unmarked", "newer"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    bench = lay_out(1, tmp_path / "workspace")
    if request.param == "unmarked":
        (bench.spool.root / "FORMAT").unlink()
    return add_what_a_newer_one_may(bench) if request.param == "newer" else bench


def test_everything_in_it_is_understood(old: Bench) -> None:
    spool = old.spool
    spool.create()
    assert (spool.root / "FORMAT").read_text() == "1\n"
    assert {(e.id, e.attempts, e.state.value) for e in spool.entries()} == HELD
    raw = b'{ "a" :\t"\\ud800", "messages": [{"role": "user", "content": "byte for byte"}] }\r\n'
    assert spool.read(spool.find("1k17k7mr7y0phftybjb2")) == raw
    assert told(spool.notes(DEFERRED)) == ("half an answer",)
    assert (spool.retry_at(spool.find(DEFERRED)) or 0) > time.time() + 2900
    assert read_pause(spool.root) == (1764230400.0, "a pause of old", True)
    session = Slot(spool.root, None).read()
    assert session is not None
    assert (session.id[:8], session.runs, session.counted) == ("0199a2b4", 3, (10, 5, 2))
    assert [block.id for block in Cache(spool.root).blocks()] == ["001", "002"]


def test_its_messages_are_handled_in_order(old: Bench) -> None:
    end_pause(old.spool.root)
    old.agent('echo "$1"')
    assert old.work() == 0
    left = {(e.id, e.state.value) for e in old.spool.entries() if e.state is not State.DONE}
    assert left == {(ident, state) for ident, _, state in HELD if state in {"failed", "hold"}}
    said = "\n".join(old.output())
    for text in ("its worker died", "byte for byte", "put in by hand", "half an answer"):
        assert text in said
    assert said.index("\ntried twice\n") < said.index("\ntried twice, and again\n")
    assert not (old.spool.root / "OUTAGE").exists()


def test_the_commands_read_it(old: Bench) -> None:
    words = ("inbox", "ls", "--all", "--json")
    done = execute(*AAP, "-w", str(old.workspace), *words)
    assert (done.returncode, done.stderr) == (0, "")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(each["id"], each["attempts"], each["state"]) for each in listed} == HELD
    assert execute(*AAP, "-w", str(old.workspace), "explain", DEFERRED).returncode == 0
    assert execute(*AAP, "-w", str(old.workspace), "context", "check").returncode == 0


# A format of the future


def picture(folder: Path) -> dict[str, tuple[float, bytes]]:
    """Every file below a folder: its time and its content."""
    return {
        str(path): (path.stat().st_mtime, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(params=["2\n", "1.5", "", "what?"])
def newer(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    bench = lay_out(1, tmp_path / "workspace")
    (bench.spool.root / "FORMAT").write_text(request.param)
    bench.agent("true")
    return bench


def test_the_worker_refuses_it_and_touches_nothing(newer: Bench) -> None:
    before = picture(newer.workspace)
    for flags in ((), ("--sweep",)):
        assert newer.work(*flags) == 78
        assert "is of format" in newer.printed
        assert "upgrade aap" in newer.printed
    unit = Path(__file__).parents[1] / "packaging/systemd/aap-sweep@.service.in"
    assert "\nSuccessExitStatus=75 78\n" in unit.read_text(), "it is the other aap's to sweep"
    assert picture(newer.workspace) == before


@pytest.mark.parametrize(
    "words",
    [
        ("inbox", "ls"), ("inbox", "add", "--text", "hello"), ("inbox", "done", DEFERRED),
        ("inbox", "retry", "--all", "--state", "failed"), ("pause",), ("resume",), ("status",),
        ("explain",), ("context", "append", "x"), ("agent", "init"), ("install", "--user", "--yes"),
    ],
)  # fmt: skip
def test_the_commands_refuse_it_and_touch_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    bench = lay_out(1, tmp_path / "workspace")
    (bench.spool.root / "FORMAT").write_text("2\n")
    before = picture(bench.workspace)
    done = execute(*AAP, "-w", str(bench.workspace), *words, AAP_WORKSPACE=str(bench.workspace))
    assert (done.returncode, done.stdout) == (78, ""), done.stderr
    assert "is of format '2'" in done.stderr
    assert "aap install" in done.stderr, "the way out"
    assert picture(bench.workspace) == before


def test_a_spool_on_a_full_disk_needs_no_mark(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.create()
    (tmp_path / "FORMAT").unlink()
    (tmp_path / f".FORMAT.{os.getpid()}.new").mkdir()  # nothing can be written there
    spool.create()
    assert not (tmp_path / "FORMAT").exists()


def test_a_mark_is_not_overwritten(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (tmp_path / "FORMAT").write_text("2\n")
    with pytest.raises(FormatError):
        spool.create()
    assert os.listdir(tmp_path) == ["FORMAT"]

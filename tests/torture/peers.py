"""The same power cut and the same kill -9 for aap and for the published proxies, in one run.

Only what all of them do is asked: a 200 means that the message is in the inbox. Nothing is
recovered, no client tries again; theirs is found by its text, for they store no body as it
came.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import peers as published
from bench.figures import MeasureError
from bench.programs import aap_api, aap_inbox, end, environment, free_port, spawn, wait_until_up

from torture.cutting import FILE_SYSTEMS, check_means, cuts, moments, mounted, open_place, recorded
from torture.posting import Posters, digest, texts_of
from torture.proof import Proof, UnableError

AAP = "aap"
_ROUNDS = 15  # kills
_CUTS = 14  # on each file system
_MESSAGES = 100  # answered before the power is cut
_SECONDS = 15.0  # or so long
COLUMNS = ("acknowledged", "lost", "torn", "left-overs")

Figures = Counter[str]


class Contender(NamedTuple):
    """A proxy: how it is started, where it stores, and where it writes first."""

    name: str
    argv: Callable[[Path, int], Sequence[str]]
    inbox: Callable[[Path], Path]
    temporary: str  # a pattern, from the workspace
    env: Mapping[str, str]


def contenders() -> list[Contender]:
    """Return aap, and those of the others that can be had. Raises UnableError if none can."""
    found = [Contender(AAP, _aap_argv, aap_inbox, ".ai-agent-proxy/inbox/.*", {})]
    places = {published.OLD: ".ai-agent-proxy/**/*.tmp", published.NEW: "inbox/.*"}
    for version, temporary in places.items():
        if reason := published.prepare(version):
            print(f"   {reason}")
            continue
        found.append(
            Contender(
                f"ai-agent-proxy {version}",
                partial(published.command, version),
                partial(published.inbox, version),
                temporary,
                published.ENVIRONMENT,
            )
        )
    if len(found) == 1:
        raise UnableError("there is nobody to compare with")
    return found


def _aap_argv(workspace: Path, port: int) -> list[str]:
    return [*aap_api(workspace), "--bind", f"127.0.0.1:{port}"]


@contextmanager
def _serving(contender: Contender, workspace: Path, home: Path) -> Iterator[int]:
    """Run it; it is killed -9, with all that it started, at the end of the block."""
    workspace.mkdir()
    port = free_port()
    env = environment(home, AAP_MIN_FREE="1M", **contender.env)
    process = spawn(contender.argv(workspace, port), env, workspace)
    try:
        wait_until_up(process, port, contender.name)
        yield port
    except MeasureError as error:
        raise UnableError(str(error)) from error
    finally:
        end(process)


# What is there


def look(contender: Contender, workspace: Path, posters: Posters, now: float) -> Figures:
    """Compare an inbox with what had been answered when the clock showed `now`."""
    acked = {ack.serial for ack in posters.acks if ack.at <= now}
    inbox = contender.inbox(workspace)
    paths = [path for path in inbox.glob("[!.]*") if path.is_file()] if inbox.is_dir() else []
    whole = [_whole(path.read_bytes(), posters.texts) for path in paths]
    return Figures({
        "acknowledged": len(acked),
        "lost": len(acked - {serial for serial in whole if serial is not None}),
        "torn": whole.count(None),
        "left-overs": sum(path.is_file() for path in workspace.glob(contender.temporary)),
    })  # fmt: skip


def _whole(raw: bytes, texts: Mapping[bytes, int]) -> int | None:
    """Say which message it is, if it is one with all its text."""
    try:
        json.loads(raw)
    except ValueError:
        return None
    return next((texts[key] for text in texts_of(raw) if (key := digest(text)) in texts), None)


# The two ends


def kill(contender: Contender, place: Path) -> Figures:
    """Kill it at a chance moment while it is posted to; do so several times."""
    figures = Figures()
    for number in range(_ROUNDS):
        workspace = place / f"workspace-{number}"
        # The clients go on until it is dead, and end after it.
        with ExitStack() as stack, _serving(contender, workspace, place / "home") as port:
            posters = stack.enter_context(Posters(port, lambda: 0, stubborn=False))
            time.sleep(random.uniform(0.5, 3))
        figures.update(look(contender, workspace, posters, 0))
    return figures


def cut(contender: Contender, kind: str, place: Path) -> Figures:
    """Cut the power of a disk on which it stored; do so several times."""
    figures, chance = Figures(), random.Random()
    with recorded(kind, place) as disk:
        begin = disk.position()
        with _serving(contender, disk.folder / "workspace", place / "home") as port:
            with Posters(port, disk.position, stubborn=False) as posters:
                posters.wait_for(_MESSAGES, _SECONDS)
            finish = disk.position()
    promises = [ack.at for ack in posters.acks] or [finish]
    anywhere = moments(disk, begin, finish) or [finish]
    positions = chance.choices(anywhere, k=_CUTS // 2) + chance.choices(promises, k=_CUTS // 2)
    for each in cuts(disk, positions, chance):
        with mounted(kind, each.image, disk.folder) as folder:
            figures.update(look(contender, folder / "workspace", posters, each.position))
    return figures


# The comparison


def run(_minutes: float) -> bool:
    """Show each of them killed and cut; what must be 0 is 0 for aap."""
    check_means(list(FILE_SYSTEMS))
    rows: dict[tuple[str, str], Figures] = {}
    for contender in contenders():
        with open_place() as place:
            rows[contender.name, f"{_ROUNDS} kills -9"] = kill(contender, place)
        for kind in FILE_SYSTEMS:
            with open_place() as place:
                rows[contender.name, f"{_CUTS} power cuts, {kind}"] = cut(contender, kind, place)
    print(f"   {'':<22}{'':<24}" + "".join(f"{name:>14}" for name in COLUMNS))
    for (name, how), figures in rows.items():
        print(f"   {name:<22}{how:<24}" + "".join(f"{figures[each]:>14}" for each in COLUMNS))
    ours = [figures for (name, _), figures in rows.items() if name == AAP]
    return not any(figures["lost"] + figures["torn"] for figures in ours)


PROOF = Proof("what others lose to a power cut or a kill, and aap does not", run)

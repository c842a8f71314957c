"""A disk that may lose power: the states that it can be in afterwards.

What is durable here is what POSIX and the manuals of ext4, xfs and btrfs promise, and no
more: the bytes of a file after fsync of that file, its name after fsync of its folder,
everything after syncfs. For what was not synced there are two models.

`journal`: changes of names and times reach the disk in their order, each whole, as ext4 and
xfs have it (one log; a later entry is never there without the earlier ones). A rename is one
entry. So a state is a beginning of the list of changes that is long enough to have in it
all that was synced.

`loose`: nothing is ordered but changes of one and the same name. btrfs comes nearer to this,
whose fsync writes the names of one folder and leaves the others for later; file systems
without a journal more so. Of a rename the disk may show the old name, the new one or both;
never neither, without which no program that moves files could be safe: a rename is one
transaction on all three.

Bytes that were not synced are free in both: there, absent, there in part, or only their
length (zeros); delayed allocation gives all of these.
"""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torture.trace import Step

MODELS = ("journal", "loose")
# Nobody is promised more of these than that they are there: their bytes are taken as written.
_CARELESS = ("/logs/", "/LOCK")


class Node:
    """A file or a folder, whatever its names are."""

    def __init__(self, number: int, *, is_folder: bool, is_careless: bool = False) -> None:
        self.number = number
        self.is_folder = is_folder
        self.is_careless = is_careless
        self.synced = self.now = b""
        self.synced_at = 0  # the step by which those bytes were there
        self.times: list[tuple[int, float]] = [(0, -1.0)]  # when it was set, and to what

    def contents(self, cuts: int) -> list[bytes]:
        """What may be in it after a power cut."""
        before, now = self.synced, self.now
        if before == now or self.is_careless:
            return [now]
        start = len(before) if now.startswith(before) else 0
        new = len(now) - start
        places = {start + new * part // (cuts + 1) for part in range(cuts + 1)}
        torn = {now[:place] for place in places}
        unwritten = {now[:place] + bytes(len(now) - place) for place in places}
        return sorted({before, now} | torn | unwritten)


Slot = tuple[Node, str]  # a name in a folder


class Update(NamedTuple):
    """A name got another file, or none. `needs` is the update that a rename puts first."""

    number: int
    node: Node | None
    needs: tuple[Slot, int] | None = None


Names = Mapping[Slot, Node | None]


class Choice(NamedTuple):
    """Names and times that may be left, and for each file the bytes that may be in it."""

    names: Names
    times: Mapping[Node, float]
    data: Mapping[Node, list[bytes]]

    @property
    def count(self) -> int:
        """How many states that makes."""
        return math.prod(map(len, self.data.values()))


class Leaf(NamedTuple):
    """What is at one path: bytes (None: a folder), a time (-1: never set), whose names it has."""

    data: bytes | None
    time: float
    node: int


State = Mapping[str, Leaf]


class Snapshot(NamedTuple):
    """What a sync that begins now will have made durable when it returns."""

    moment: int
    data: dict[Node, bytes]
    times: dict[Node, int]
    names: dict[Slot, int]


class Disk:
    """The folder that is watched, as it is now and as it may come back."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._changes = 0
        self._root = Node(0, is_folder=True)
        self._slots: dict[Slot, list[Update]] = {}
        self._floors: dict[Slot, int] = {}  # how many updates of a name are surely there
        self._time_floors: dict[Node, int] = {}
        self._steps = 0
        self._begun: dict[int, Snapshot] = {}  # by thread

    # What happens

    def apply(self, step: Step) -> None:
        """Let one step happen."""
        self._steps += 1
        getattr(self, "_" + step.kind.replace("-", "_"))(step)

    def _say(self, step: Step) -> None:
        pass

    def _create(self, step: Step) -> None:
        if self._find(step.path) is None:
            is_careless = any(part in f"/{step.path}" for part in _CARELESS)
            node = Node(next(self._numbers), is_folder=False, is_careless=is_careless)
            self._set(step.path, node)

    def _folder(self, step: Step) -> None:
        self._set(step.path, Node(next(self._numbers), is_folder=True))

    def _write(self, step: Step) -> None:
        node, data = self._get(step.path), step.data
        start = len(node.now) if step.number < 0 else int(step.number)
        node.now = node.now[:start].ljust(start, b"\0") + data + node.now[start + len(data) :]

    def _truncate(self, step: Step) -> None:
        node, size = self._get(step.path), int(step.number)
        node.now = node.now[:size].ljust(size, b"\0")

    def _rename(self, step: Step) -> None:
        node = self._get(step.path)
        if self._find(step.other) is node:
            return  # rename(2): two names of one file, nothing is done
        self._changes += 1
        target = self._slot(step.other)
        self._update(target, Update(self._changes, node))
        needs = (target, len(self._slots[target]) - 1)
        self._update(self._slot(step.path), Update(self._changes, None, needs))

    def _link(self, step: Step) -> None:
        self._set(step.other, self._get(step.path))

    def _unlink(self, step: Step) -> None:
        self._set(step.path, None)

    def _time(self, step: Step) -> None:
        self._changes += 1
        self._get(step.path).times.append((self._changes, step.number))

    def _sync_start(self, step: Step) -> None:
        node = self._get(step.path)
        self._begun[step.thread] = self._snapshot([node] if step.path else self._nodes())

    def _sync(self, step: Step) -> None:
        self._finish(self._begun.pop(step.thread, None) or self._snapshot([self._get(step.path)]))

    def _sync_all(self, step: Step) -> None:
        self._finish(self._begun.pop(step.thread, None) or self._snapshot(self._nodes()))

    def sync_all(self) -> None:
        """Let all be on the disk."""
        self._finish(self._snapshot(self._nodes()))

    def _snapshot(self, nodes: Iterable[Node]) -> Snapshot:
        chosen = set(nodes)
        return Snapshot(
            self._steps,
            {node: node.now for node in chosen},
            {node: len(node.times) - 1 for node in chosen},
            {slot: len(updates) - 1 for slot, updates in self._slots.items() if slot[0] in chosen},
        )

    def _finish(self, snapshot: Snapshot) -> None:
        for node, data in snapshot.data.items():
            if snapshot.moment >= node.synced_at:  # else a later sync was faster
                node.synced, node.synced_at = data, snapshot.moment
        for node, place in snapshot.times.items():
            self._time_floors[node] = max(place, self._time_floors.get(node, 0))
        for slot, place in snapshot.names.items():
            self._make_durable(slot, place)

    def _make_durable(self, slot: Slot, place: int) -> None:
        if self._floors.get(slot, 0) >= place:
            return
        self._floors[slot] = place
        for update in self._slots[slot][: place + 1]:
            if update.needs:
                self._make_durable(*update.needs)

    def _nodes(self) -> set[Node]:
        named = {each.node for updates in self._slots.values() for each in updates if each.node}
        return {self._root, *named}

    # Names

    def _slot(self, path: str) -> Slot:
        folder, _, name = path.rpartition("/")
        return self._get(folder), name

    def _get(self, path: str) -> Node:
        node = self._find(path)
        assert node is not None, f"the trace has not told where {path} came from"
        return node

    def _find(self, path: str) -> Node | None:
        node: Node | None = self._root
        for name in filter(None, path.split("/")):
            updates = self._slots.get((node, name)) if node else None
            node = updates[-1].node if updates else None
        return node

    def _set(self, path: str, node: Node | None) -> None:
        self._changes += 1
        self._update(self._slot(path), Update(self._changes, node))

    def _update(self, slot: Slot, update: Update) -> None:
        self._slots.setdefault(slot, [Update(0, None)]).append(update)

    # What may be left

    def now(self) -> State:
        """What is there as long as the power is: all of it."""
        last = {slot: updates[-1].node for slot, updates in self._slots.items()}
        times = {node: node.times[-1][1] for node in self._nodes()}
        files = [node for node in self._nodes() if not node.is_folder]
        choice = Choice(last, times, {node: [node.now] for node in files})
        return self._tree(choice, [node.now for node in files])

    def choices(self, model: str, cuts: int) -> list[Choice]:
        """What a power cut may leave now; bytes that were not synced are torn in `cuts` places."""
        views = self._journal_views() if model == "journal" else self._loose_views()
        return [self._choice(names, times, cuts) for names, times in views]

    def states(self, choices: Sequence[Choice], most: int) -> Iterator[State]:
        """Yield the states of which these are; where there are over `most`, a sample of them."""
        if sum(choice.count for choice in choices) <= most:
            for choice in choices:
                for data in itertools.product(*choice.data.values()):
                    yield self._tree(choice, data)
            return
        chance = random.Random(most)  # the same each time
        for choice in chance.choices(choices, [choice.count for choice in choices], k=most):
            yield self._tree(choice, tuple(map(chance.choice, choice.data.values())))

    def _choice(self, names: Names, times: Mapping[Node, float], cuts: int) -> Choice:
        reached = {node for _, node in self._walk(names) if not node.is_folder}
        files = sorted(reached, key=lambda node: node.number)
        return Choice(names, times, {node: node.contents(cuts) for node in files})

    def _journal_views(self) -> Iterator[tuple[Names, dict[Node, float]]]:
        synced = [self._slots[slot][place].number for slot, place in self._floors.items()]
        synced += [node.times[place][0] for node, place in self._time_floors.items()]
        for end in range(max(synced, default=0), self._changes + 1):
            names = {
                slot: [each for each in updates if each.number <= end][-1].node
                for slot, updates in self._slots.items()
            }
            times = {
                node: [value for number, value in node.times if number <= end][-1]
                for node in self._nodes()
            }
            yield names, times

    def _loose_views(self) -> Iterator[tuple[Names, dict[Node, float]]]:
        open_ = {
            slot: range(self._floors.get(slot, 0), len(updates))
            for slot, updates in self._slots.items()
        }
        for places in itertools.product(*open_.values()):
            chosen = dict(zip(open_, places, strict=True))
            if self._is_possible(chosen):
                names = {slot: self._slots[slot][place].node for slot, place in chosen.items()}
                yield from ((names, times) for times in self._loose_times())

    def _is_possible(self, chosen: Mapping[Slot, int]) -> bool:
        return all(
            update.needs is None or chosen[update.needs[0]] >= update.needs[1]
            for slot, place in chosen.items()
            for update in self._slots[slot][: place + 1]
        )

    def _loose_times(self) -> Iterator[dict[Node, float]]:
        nodes = list(self._nodes())
        choices = [
            [value for _, value in node.times[self._time_floors.get(node, 0) :]] for node in nodes
        ]
        for values in itertools.product(*choices):
            yield dict(zip(nodes, values, strict=True))

    def _walk(self, names: Names) -> Iterator[tuple[str, Node]]:
        inside: dict[Node, list[tuple[str, Node]]] = {}
        for (folder, name), node in names.items():
            if node is not None:
                inside.setdefault(folder, []).append((name, node))
        todo = [("", self._root)]
        while todo:
            path, folder = todo.pop()
            for name, node in inside.get(folder, ()):
                below = f"{path}/{name}".lstrip("/")
                yield below, node
                if node.is_folder:
                    todo.append((below, node))

    def _tree(self, choice: Choice, data: Sequence[bytes]) -> State:
        content = dict(zip(choice.data, data, strict=True))
        return {
            path: Leaf(content.get(node), choice.times[node], node.number)
            for path, node in self._walk(choice.names)
        }


def materialise(state: State, root: Path, now: float) -> None:
    """Make a state real below `root`, which is empty; what has no time of its own is of `now`."""
    made: dict[int, Path] = {}
    for path, leaf in sorted(state.items()):
        place = root / path
        if leaf.data is None:
            place.mkdir(mode=0o700)
        elif leaf.node in made:
            os.link(made[leaf.node], place)
        else:
            made[leaf.node] = place
            place.write_bytes(leaf.data)
            place.chmod(0o600)
            moment = leaf.time if leaf.time >= 0 else now
            os.utime(place, (moment, moment))

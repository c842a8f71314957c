"""All interleavings of what may happen to a spool, as hypothesis can think of them.

    python -m torture.machine EXAMPLES STEPS MINUTES

Beside the real spool there is a list of what should be in it. After each step, whoever took
it, the two are held against each other. The clock jumps by hours in both directions:
see harness.clock, with which this is to be started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.busy import Busy
from harness.clock import Clock, set_clock
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aap.api.retries import Known as KnownRetries
from aap.inbox import Entry, Spool, Staged
from aap.log import DailyLog
from aap.message import PRINT_CHARS, State, id_time
from aap.worker import hook
from aap.worker.batch import Queue
from torture.crash import _key
from torture.proof import Proof
from torture.scenes import body

MAX_ATTEMPTS = 3
LONGEST_DELAY = 4 * 3600.0
WAITING = (State.INBOX, State.DEFERRED)
OPEN = (*WAITING, State.HOLD, State.ACTIVE)

figures: Counter[str] = Counter()

_chats = st.sampled_from(["a", "b", ""])
_few_chats = st.lists(_chats, min_size=1, max_size=3)
_ends = st.sampled_from(["ends_well", "fails", "fails", "is_given_back", "dies"])
_picks = st.integers(0, 1000)
_acts = st.sampled_from(["settle", "hold", "release", "retry", "remove"])
_looks = st.sampled_from(["find", "matches", "entries", "prints"])
_moments = st.integers(1, 4)  # so many folders were listed when somebody else acts
_moves = st.tuples(_moments, _picks, _picks)
_texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\0\x85\u2028"))


@dataclass
class Known:
    """One message as it should be. `place` is its number in the order in which ids were given."""

    key: str
    state: State
    id: str = ""  # "": put in by hand, and not yet taken in
    place: int = 0
    attempts: int = 0
    due: float = 0.0
    is_late: bool = False  # brought back after its end: ordered by its id alone
    notes: list[str] = field(default_factory=list)

    @property
    def conversation(self) -> str:
        return self.key.partition("@")[2] or self.key


class Worker:
    """The one worker: its lock, its spool with a clock of its own, its queue."""

    def __init__(self, root: Path) -> None:
        self.spool = Spool(root)
        self.held = ExitStack()
        self.held.enter_context(self.spool.lock())
        self.queue = Queue(self.spool, DailyLog(self.spool.logs, echo=False), 1 << 20)


class SpoolMachine(RuleBasedStateMachine):
    """The API, a worker, its agent, a sweep, a person with the command line, and a bad clock."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=_memory()))
        self.known: dict[str, Known] = {}
        self.ids: set[str] = set()
        self.keys = self.places = self.ahead = self.passed = 0
        self.worker: Worker | None = None
        self.old_entries: list[Entry] = []
        self.staged: list[tuple[Staged, Known, int]] = []  # with the number of ids given until then
        self.together: Spool | None = None
        self.junk: list[bytes] = []

    @initialize()
    def begin(self) -> None:
        self._set_clock(0)
        self.api = Spool(self.root / "spool")  # lives as long as the API: so does its clock
        self.api.create()

    @property
    def person(self) -> Spool:
        """What a command of a person's has: a spool of its own, for a moment."""
        return self.together or Spool(self.api.root)

    def _in(self, *states: State) -> list[Known]:
        """The messages in these states, the oldest first; what is not yet taken in last."""
        found = [each for each in self.known.values() if each.state in states]
        return sorted(found, key=lambda each: (not each.id, each.id, each.key))

    def _pick(self, pick: int, *states: State) -> tuple[Known, Entry] | None:
        there = self._in(*states)
        if not there:
            return None
        chosen = there[pick % len(there)]
        (entry,) = [
            e for e in self.api.entries(chosen.state) if _key(self.api.read(e)) == chosen.key
        ]
        return chosen, entry

    def _name(self, known: Known, message_id: str) -> None:
        """A message got its id, after all that have one."""
        if not known.id:
            assert message_id not in self.ids
            self.ids.add(message_id)
            self.places += 1
            known.id, known.place = message_id, self.places

    # Messages come

    @rule(chats=_few_chats, by_api=st.booleans())
    def deliver(self, chats: list[str], by_api: bool) -> None:
        self._let_time_pass()
        spool = self.api if by_api else self.person
        for chat in chats:
            known = self._new(chat)
            self._name(known, spool.deliver(body(known.key)))

    @rule(chat=_chats)
    def put_in_by_hand(self, chat: str) -> None:
        known = self._new(chat)
        target = self.api.folder(State.INBOX) / f"{known.key}.json"
        draft = target.with_name(f".{known.key}")
        draft.write_bytes(body(known.key))
        draft.rename(target)

    @rule()
    def put_in_what_is_no_message(self) -> None:
        self.keys += 1
        self.junk.append(b"junk %d" % self.keys)
        path = self.api.folder(State.INBOX) / f"junk{self.keys}"
        path.write_bytes(self.junk[-1])
        os.utime(path, (0, 0))  # long since, so that nobody waits for its other half

    @rule(chat=_chats)
    def stage(self, chat: str) -> None:
        """The API writes a message; what comes before it is visible, anybody may do."""
        self._let_time_pass()
        known = self._make(chat)
        staged = self.api.stage(body(known.key))
        self._name(known, staged.id)
        self.staged.append((staged, known, self.places))

    @precondition(lambda self: bool(self.staged))
    @rule(count=st.integers(1, 6))
    def commit(self, count: int) -> None:
        batch, self.staged = self.staged[:count], self.staged[count:]
        errors = self.api.commit([staged for staged, _, _ in batch])
        for (_, known, places), error in zip(batch, errors, strict=True):
            if error:  # by the clock it was an hour's work, and a worker has swept it away
                assert isinstance(error, FileNotFoundError)
                continue
            # Nobody had been promised anything when the others got their ids.
            known.is_late = places < self.places
            self.known[known.key] = known
            figures["committed later"] += 1

    @precondition(lambda self: bool(self.staged))
    @rule()
    def discard(self) -> None:
        self.api.discard(self.staged.pop()[0])

    @rule()
    def die_while_writing(self) -> None:
        os.close(self.api.stage(body("never")).fd)

    def _new(self, chat: str) -> Known:
        known = self._make(chat)
        self.known[known.key] = known
        return known

    def _make(self, chat: str) -> Known:
        self.keys += 1
        return Known(f"m{self.keys:03d}" + (f"@{chat}" if chat else ""), State.INBOX)

    # The worker

    def _start_worker(self) -> Worker:
        worker = self.worker = Worker(self.api.root)
        self._recover(worker.spool)
        return worker

    def _recover(self, spool: Spool) -> None:
        recovered = [entry.id for entry in spool.recover()]
        assert recovered == [known.id for known in self._in(State.ACTIVE)]
        for known in self._in(State.ACTIVE):
            known.state = State.INBOX

    @precondition(lambda self: self.worker is None or not self._in(State.ACTIVE))
    @rule(limit=st.integers(1, 5), mixed=st.booleans())
    def claim(self, limit: int, mixed: bool) -> None:
        self._let_time_pass()
        worker = self.worker or self._start_worker()
        waited = [each.key for each in self._in(State.INBOX)]
        batch = worker.queue.claim(limit, 0.0, mixed=mixed)
        self._take_in()
        claimed = [self.known[_key(self.api.read(entry))] for entry in batch]
        self._check_choice(claimed, limit, mixed=mixed)
        assert bool(claimed) == bool(waited)
        for known in claimed:
            known.state = State.ACTIVE
        figures["runs"] += bool(claimed)
        figures["messages claimed"] += len(claimed)
        figures["of them after a failure"] += sum(bool(known.attempts) for known in claimed)

    def _take_in(self) -> None:
        """What was put in by hand now has an id, in the order of the names."""
        named = {_key(self.api.read(e)): e for e in self.api.entries() if not e.is_foreign}
        for known in self._in(State.INBOX):
            if not known.id:
                self._name(known, named[known.key].id)

    def _check_choice(self, claimed: list[Known], limit: int, *, mixed: bool) -> None:
        """The oldest of each conversation, with what was put off; no fresh one waits for old."""
        assert len(claimed) <= limit
        chosen = {each.conversation for each in claimed}
        assert mixed or len(chosen) <= 1
        for conversation in chosen:
            waiting = [e.key for e in self._in(*WAITING) if e.conversation == conversation]
            taken = [e.key for e in claimed if e.conversation == conversation]
            assert taken == waiting[: len(taken)]
            assert mixed or len(taken) == min(limit, len(waiting))
        fresh = {each.conversation for each in self._in(State.INBOX) if not each.attempts}
        assert mixed or not fresh or chosen & fresh

    @precondition(lambda self: bool(self._in(State.ACTIVE)))
    @rule(pick=_picks)
    def agent_settles(self, pick: int) -> None:
        self._settle(pick, State.ACTIVE)

    @precondition(lambda self: bool(self._in(State.ACTIVE)))
    @rule(pick=_picks)
    def hook_claims(self, pick: int) -> None:
        """The run has been told of a message that came meanwhile, or was put off."""
        if (found := self._pick(pick, *WAITING)) and found[0].id:
            hook._claim(self.person, {found[0].id})
            found[0].state = State.ACTIVE
            figures["claimed by a hook"] += 1

    @precondition(lambda self: self.worker is not None)
    @rule(how=_ends)
    def run(self, how: str) -> None:
        assert self.worker
        getattr(self, f"_{how}")(self.worker)

    @precondition(lambda self: self.worker is None or not self._in(State.ACTIVE))
    @rule(limit=st.integers(1, 5), mixed=st.booleans(), how=_ends)
    def claim_and_run(self, limit: int, mixed: bool, how: str) -> None:
        """Both at once, so that more comes to pass in as many steps."""
        self.claim(limit, mixed)
        self.run(how)

    @precondition(lambda self: self.worker is None or not self._in(State.ACTIVE))
    @rule(chats=_few_chats, again=_few_chats)
    def deliver_fail_and_deliver(self, chats: list[str], again: list[str]) -> None:
        """Who writes again brings back what was put off."""
        self.deliver(chats, True)
        self.claim_and_run(5, True, "fails")
        self.deliver(again, True)

    def _ends_well(self, worker: Worker) -> None:
        for entry in worker.spool.entries(State.ACTIVE):
            assert worker.spool.settle(entry.id)
        for known in self._in(State.ACTIVE):
            known.state = State.DONE

    def _fails(self, worker: Worker) -> None:
        at = time.time() + 600 * self.passed  # more or less than the clock jumps
        for entry in worker.spool.entries(State.ACTIVE):
            known = self.known[_key(self.api.read(entry))]
            known.attempts += 1
            if known.attempts < MAX_ATTEMPTS:
                worker.spool.defer(entry, at, "why")
                known.state, known.due = State.DEFERRED, at
            else:
                worker.spool.fail(entry, "why")
                known.state = State.FAILED

    def _is_given_back(self, worker: Worker) -> None:
        for entry in worker.spool.entries(State.ACTIVE):
            worker.spool.give_back(entry)
        for known in self._in(State.ACTIVE):
            known.state = State.INBOX

    def _dies(self, worker: Worker) -> None:
        worker.held.close()
        self.worker = None

    @precondition(lambda self: self.worker is not None and not self._in(State.ACTIVE))
    @rule()
    def look_for_due_ones(self) -> None:
        assert self.worker
        self._admit(self.worker.spool)

    @precondition(lambda self: self.worker is None)
    @rule()
    def sweep(self) -> None:
        spool = self.person
        with spool.lock():
            self._recover(spool)
            self._admit(spool)

    def _admit(self, spool: Spool) -> None:
        now = time.time()
        spool.admit(now, LONGEST_DELAY)
        for known in self._in(State.DEFERRED):
            if not now < known.due <= now + LONGEST_DELAY:
                known.state = State.INBOX

    @rule(max_age=st.sampled_from([0.0, 3600.0, 1e9]), max_count=st.sampled_from([0, 2, 1000]))
    def prune(self, max_age: float, max_count: int) -> None:
        now = time.time()
        done = self._in(State.DONE)
        self.person.prune(max_age, max_count, now)
        for place, known in enumerate(done):
            if place < len(done) - max_count or id_time(known.id) < now - max_age:
                del self.known[known.key]

    # A person

    def _settle(self, pick: int, *states: State) -> None:
        if found := self._pick(pick, *(states or State)):
            known, entry = found
            assert self.person.settle(entry) is (known.state is not State.DONE)
            self._end(known, State.DONE)

    def _end(self, known: Known, state: State) -> None:
        """A message is somewhere else; it got an id, if it had none."""
        if not known.id:
            named = {_key(self.api.read(e)): e for e in self.api.entries(state)}
            self._name(known, named[known.key].id)
        known.state = state

    @rule(what=_acts, pick=_picks)
    def act(self, what: str, pick: int) -> None:
        getattr(self, f"_{what}")(pick)

    @rule(acts=st.lists(st.tuples(_acts, _picks), min_size=2, max_size=4))
    def act_together(self, acts: list[tuple[str, int]]) -> None:
        """One command for several messages."""
        spool = self.together = self.person
        with spool.together():
            for what, pick in acts:
                self.act(what, pick)
        self.together = None

    def _hold(self, pick: int) -> None:
        if found := self._pick(pick, *WAITING):
            self.person.hold(found[1])
            self._end(found[0], State.HOLD)

    def _release(self, pick: int) -> None:
        if found := self._pick(pick, State.HOLD, State.DEFERRED):
            self.person.release(found[1])
            self._end(found[0], State.INBOX)

    def _retry(self, pick: int) -> None:
        if found := self._pick(pick, State.DONE, State.FAILED, State.HOLD, State.DEFERRED):
            known, entry = found
            self.person.retry(entry)
            known.is_late = known.is_late or known.state in {State.DONE, State.FAILED}
            known.attempts = 0
            self._end(known, State.INBOX)

    def _remove(self, pick: int) -> None:
        if found := self._pick(pick, *WAITING, State.HOLD, State.DONE, State.FAILED):
            self.person.remove(found[1])
            del self.known[found[0].key]
            assert self.person.notes(found[1].id) == []

    @rule(pick=_picks, text=_texts)
    def note(self, pick: int, text: str) -> None:
        found = self._pick(pick, *State)
        if found and found[0].id:
            self.person.note(found[1].id, event="said", text=text)
            found[0].notes.append(text)

    @rule()
    def look(self) -> None:
        """Remember where all is, for `act_on_old_sight`."""
        self.old_entries = self.api.entries()

    @rule(pick=_picks)
    def act_on_old_sight(self, pick: int) -> None:
        """Settle what may have moved since it was seen: it must be found, or be gone."""
        seen = [entry for entry in self.old_entries if not entry.is_foreign]
        if not seen:
            return
        entry = seen[pick % len(seen)]
        known = next((each for each in self.known.values() if each.id == entry.id), None)
        if known and entry.state is not State.DONE:
            self.person.settle(entry)
            known.state = State.DONE

    # Somebody looks while others act

    @rule(what=_looks, pick=_picks, moves=st.lists(_moves, min_size=1, max_size=3))
    def look_up(self, what: str, pick: int, moves: list[tuple[int, int, int]]) -> None:
        """Whatever moves between two folders that are listed, what is there is found.

        Each message moves once: a move takes longer than a look.
        """
        named = [known for known in self._in(*State) if known.id]
        if not named:
            return
        moved: set[str] = set()

        def meanwhile(listed: int) -> None:
            for moment, whose, how in moves:
                # The first number is often the one that is looked for.
                known = named[(whose if whose % 2 else pick) % len(named)]
                if moment == listed and known.key not in moved:
                    moved.add(known.key)
                    self._move(known, how)

        busy = Busy(self.api.root)
        busy.interrupt(meanwhile)
        wanted = named[pick % len(named)]
        assert wanted.id in getattr(self, f"_{what}")(busy, wanted)
        figures["looks while others acted"] += bool(moved)

    def _find(self, spool: Spool, known: Known) -> set[str]:
        return {spool.find(known.id).id}

    def _matches(self, spool: Spool, known: Known) -> set[str]:
        return {entry.id for entry in spool.matches(known.id[-PRINT_CHARS:])}

    def _entries(self, spool: Spool, known: Known) -> set[str]:
        return {entry.id for entry in spool.entries()}

    def _prints(self, spool: Spool, known: Known) -> set[str]:
        """What the API notes of all that there is when the first retry comes."""
        return (
            {known.id} if known.id[-PRINT_CHARS:] in KnownRetries(spool)._read_prints() else set()
        )

    def _move(self, known: Known, how: int) -> None:
        """Somebody does what may be done to a message where it is."""
        spool, state = Spool(self.api.root), known.state
        (entry,) = [entry for entry in spool.entries(state) if entry.id == known.id]
        if state in {State.DONE, State.FAILED}:
            spool.retry(entry)
            known.is_late, known.attempts, known.state = True, 0, State.INBOX
        elif how % 3 == 0:
            spool.settle(entry)
            known.state = State.DONE
        elif state is not State.INBOX:
            spool.release(entry)  # or given back, or admitted
            known.state = State.INBOX
        elif self._in(State.ACTIVE):
            spool.claim(entry)
            known.state = State.ACTIVE
        else:
            spool.hold(entry)
            known.state = State.HOLD

    # The clock

    @rule(seconds=st.sampled_from([2, 1200, *(3600 * hours for hours in (-48, -5, -1, 1, 5, 48))]))
    def jump(self, seconds: int) -> None:
        self._set_clock(self.ahead + seconds)

    def _set_clock(self, ahead: int) -> None:
        self.ahead = ahead
        self._let_time_pass()

    def _let_time_pass(self) -> None:
        """Two seconds: what comes at the same time by different ways is in no order."""
        self.ahead, self.passed = self.ahead + 2, self.passed + 2
        set_clock(Path(os.environ["AAP_TEST_CLOCK"]), self.ahead, self.passed)

    # What must hold after each step

    @invariant()
    def each_message_is_in_its_place_once(self) -> None:
        figures["steps"] += 1
        there, junk = [], []
        for entry in self.api.entries():
            raw = self.api.read(entry)
            if key := _key(raw):
                there.append((key, entry.state, entry.attempts, entry.id if entry.name else ""))
            else:
                junk.append(raw)
                assert entry.is_foreign or not entry.is_message
        should = [(e.key, e.state, e.attempts, e.id) for e in self.known.values()]
        assert sorted(there) == sorted(should)
        assert sorted(junk) == sorted(self.junk)

    @invariant()
    def ids_rise_within_a_conversation(self) -> None:
        last: dict[str, int] = {}
        for known in self._in(*OPEN):
            if known.id and not known.is_late:
                assert known.place > last.get(known.conversation, 0)
                last[known.conversation] = known.place

    @invariant()
    def notes_are_kept(self) -> None:
        for known in self.known.values():
            if known.notes:
                notes = self.api.notes(known.id)
                assert [n["text"] for n in notes if n["event"] == "said"] == known.notes

    def teardown(self) -> None:
        """In the end a worker handles all that waits, and nothing is left over."""
        figures["examples"] += 1
        try:
            while self.staged:
                self.discard()
            self._set_clock(3 * 3600)  # by the clock that stamps files
            worker = self.worker or self._start_worker()
            self._is_given_back(worker)
            while self._in(State.INBOX):
                self.claim(5, True)
                self._ends_well(worker)
                self.each_message_is_in_its_place_once()
            self._dies(worker)
            self.sweep()
            assert not list(self.api.root.rglob(".*"))
        finally:
            shutil.rmtree(self.root)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def explore(examples: int, steps: int, minutes: float) -> None:
    """Try so many sequences of so many steps; others, as long as there is time."""
    end = time.monotonic() + minutes * 60
    chosen: dict[str, Any] = {"max_examples": examples, "stateful_step_count": steps}
    calm = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    while True:
        limits = settings(
            **chosen, deadline=None, database=None, suppress_health_check=calm,
            derandomize=minutes == 0, print_blob=False, report_multiple_bugs=False,
        )  # fmt: skip
        run_state_machine_as_test(SpoolMachine, settings=limits)
        print("   " + ", ".join(f"{count} {what}" for what, count in sorted(figures.items())))
        if time.monotonic() > end:
            return


def run(examples: int, steps: int, minutes: float) -> subprocess.CompletedProcess[str]:
    """The same in a process with a clock of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | Clock(Path(folder)).environment
        environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        argv = [
            sys.executable,
            "-B",
            "-m",
            "torture.machine",
            *map(str, (examples, steps, minutes)),
        ]
        return subprocess.run(
            argv, env=environment, text=True, check=False, cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _run(minutes: float) -> bool:
    done = run(200, 80, minutes)
    print(done.stdout[-3000:] if done.returncode else done.stdout.splitlines()[-1])
    return done.returncode == 0


PROOF = Proof("whoever does what to a spool, and when: each message in one place, in order", _run)


if __name__ == "__main__":
    explore(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))

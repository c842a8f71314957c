"""What goes wrong around aap: kills, restarts, a bad disk, a clock that is set.

A kind counts when it really happened: there was a process and it was killed, a unit and
it was started again, a worker at work and its disk was broken.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from harness.machine import CommandError
from harness.wait import wait_until

from torture.site import API, Site

PATIENCE = 2.0  # seconds to wait for somebody to whom it can happen
Windows = list[tuple[float, float]]  # from, to


class Trouble:
    """What goes wrong, each kind as often as the others, in random order."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kinds: dict[str, Callable[[], bool]] = {
            "API killed": lambda: self._kill(lambda: site.main_pid(API)),
            "worker killed": lambda: self._kill(lambda: site.main_pid(site.worker)),
            "agent killed": lambda: self._kill(self._find_agent),
            "API restarted": lambda: self._restart("try-restart", API),
            "worker restarted": lambda: self._restart("try-restart", site.worker),
            "socket restarted": lambda: self._restart("restart", "aap-api.socket"),
            "path restarted": lambda: self._restart("restart", site.watch),
            "daemon-reload": lambda: self._tell("daemon-reload"),
            "daemon-reexec": lambda: self._tell("daemon-reexec"),
            "disk full": lambda: self._for_a_while(site.disk.fill, site.disk.empty),
            "disk read-only": self._lock_disk,
            "disk broken under the worker": self._break_disk,
            "clock set": self._set_clock,
        }
        self.counts = Counter(dict.fromkeys(self._kinds, 0))
        self._missed: set[str] = set()  # what could not happen since something last did
        self._end: tuple[float, Callable[[], object]] | None = None
        self._sign = -1
        # When starts were our own doing, by what was started.
        self.ours: dict[str, Windows] = {site.worker: [], API: []}
        self.memory: list[tuple[int, int]] = []  # of the API: pid, bytes resident

    @property
    def least(self) -> int:
        """How often what happened the least happened."""
        return min(self.counts.values())

    def make(self, last: bool = False) -> None:
        """Make one more, or end all."""
        if self._end and (last or time.monotonic() > self._end[0]):
            self._end_it()
        if last:
            self._site.clock.set(0)
            return
        open_ = self._kinds.keys() - self._missed or self._kinds.keys()
        least = min(self.counts[kind] for kind in open_)
        kind = random.choice([kind for kind in open_ if self.counts[kind] == least])
        if self._kinds[kind]():
            self.counts[kind] += 1
            self._missed.clear()
        else:
            self._missed.add(kind)
        self._measure()

    # To processes and units

    def _kill(self, find: Callable[[], int]) -> bool:
        pid = _wait_for(find)
        words = ["kill", "-KILL", str(pid)]
        return pid > 0 and self._site.user.machine.run(words, check=False).returncode == 0

    def _find_agent(self) -> int:
        return next((pid for pid, _ in self._site.processes("moody.py")), 0)

    def _restart(self, word: str, unit: str) -> bool:
        if word == "try-restart" and not _wait_for(lambda: self._site.main_pid(unit)):
            return False
        before = self._site.invocation(unit)
        # The API is the socket's, and goes when it goes.
        with self._ours(self._site.worker if unit == self._site.worker else API):
            self._tell(word, unit)
        return self._site.invocation(unit) != before

    def _tell(self, *words: str) -> bool:
        try:
            self._site.user.systemctl(*words)
        except CommandError:
            return False
        return True

    @contextmanager
    def _ours(self, *units: str) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            for unit in units:
                self.ours[unit].append((began, time.time()))

    # To the disk and the clock

    def _set_clock(self) -> bool:
        self._sign = -self._sign
        self._site.clock.set(self._sign * random.randint(3600, 6 * 3600))
        return True

    def _for_a_while(self, begin: Callable[[], object], end: Callable[[], object]) -> bool:
        self._end_it()
        if begin() is False:
            return False
        self._end = time.monotonic() + random.uniform(0.5, 3), end
        return True

    def _end_it(self) -> None:
        if self._end:
            self._end[1]()
        self._end = None

    def _lock_disk(self) -> bool:
        self._end_it()
        # Nobody can make it read-only while somebody writes: the worker has its log open.
        self._tell("kill", "--signal=KILL", "--kill-who=main", self._site.worker)
        return self._for_a_while(self._site.disk.lock, self._site.disk.unlock)

    def _break_disk(self) -> bool:
        """The worker lives on, with files open, and no write of its own succeeds any more."""
        self._end_it()
        pid = _wait_for(lambda: self._site.main_pid(self._site.worker))
        if not pid:
            return False
        self._for_a_while(self._site.disk.break_, self._mend_disk)
        return self._site.main_pid(self._site.worker) == pid

    def _mend_disk(self) -> None:
        with self._ours(*self.ours), self._site.stopped():
            self._site.disk.mend()

    def _measure(self) -> None:
        for pid, folder in self._site.processes("aap.api"):
            with suppress(OSError, StopIteration, ValueError):
                status = (folder / "status").read_text()
                self.memory.append((pid, int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) << 10))


def _wait_for(find: Callable[[], int]) -> int:
    with suppress(AssertionError):
        return wait_until(find, PATIENCE)
    return 0

"""What goes wrong around aap: kills, restarts, a bad disk, a clock that is set."""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from harness.wait import wait_until

from torture.site import Site


class Trouble:
    """What goes wrong, each kind as often as the others, in random order."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kinds: dict[str, Callable[[], object]] = {
            "API killed": lambda: self._kill("aap-api.service"),
            "worker killed": lambda: self._kill(site.worker),
            "agent killed": self._kill_agent,
            "API restarted": lambda: self._tell("try-restart", "aap-api.service"),
            "worker restarted": self._restart_worker,
            "socket restarted": lambda: self._tell("restart", "aap-api.socket"),
            "path restarted": lambda: self._tell("restart", site.watch),
            "daemon-reload": lambda: self._tell("daemon-reload"),
            "daemon-reexec": lambda: self._tell("daemon-reexec"),
            "disk full": lambda: self._for_a_while(site.disk.fill, site.disk.empty),
            "disk read-only": self._lock_disk,
            "clock set": self._set_clock,
        }
        self._deck: Iterator[str] = iter(())
        self.rounds = -1  # how often all kinds have had their turn
        self._end: tuple[float, Callable[[], object]] | None = None
        self._sign = -1
        self.counts: Counter[str] = Counter()
        self.restarts: list[tuple[float, float]] = []  # of the worker, by us: from, to
        self.memory: list[tuple[int, int]] = []  # of the API: pid, bytes resident

    def make(self, last: bool = False) -> None:
        """Make one more, or end all."""
        if self._end and (last or time.monotonic() > self._end[0]):
            self._end_it()
        if last:
            self._site.clock.set(0)
            return
        kind = next(self._deck, "")
        if not kind:
            self.rounds += 1
            self._deck = iter(random.sample(list(self._kinds), len(self._kinds)))
            kind = next(self._deck)
        if self._kinds[kind]() is not False:
            self.counts[kind] += 1
        self._measure()

    def _tell(self, *words: str) -> None:
        self._site.user.systemctl(*words, check=False)

    def _kill(self, unit: str) -> None:
        self._tell("kill", "--signal=KILL", "--kill-who=main", unit)

    def _kill_agent(self) -> bool:
        found: list[int] = []
        with suppress(AssertionError):  # none runs
            found = wait_until(lambda: [pid for pid, _ in self._site.processes("moody.py")], 2)
        for pid in found:
            self._site.user.machine.run(["kill", f"-{signal.SIGKILL}", str(pid)], check=False)
        return bool(found)

    def _restart_worker(self) -> None:
        began = time.time()
        self._tell("try-restart", self._site.worker)
        self.restarts.append((began, time.time()))

    def _set_clock(self) -> None:
        self._sign = -self._sign
        self._site.clock.set(self._sign * random.randint(3600, 6 * 3600))

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
        self._kill(self._site.worker)
        return self._for_a_while(self._site.disk.lock, self._site.disk.unlock)

    def _measure(self) -> None:
        for pid, folder in self._site.processes("aap.api"):
            with suppress(OSError, StopIteration, ValueError):
                status = (folder / "status").read_text()
                self.memory.append((pid, int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) << 10))

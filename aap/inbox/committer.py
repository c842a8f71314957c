"""Group commit: one thread makes what several requests staged durable, a batch at a time.

While the disk works on one batch the next one gathers, so the cost of an fsync
is shared by as many messages as came meanwhile, and a lone one waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from aap.inbox.spool import Spool, Staged

Done = Callable[[BaseException | None], None]


class Committer:
    """The committing thread of one spool.

    `submit` may be called from any thread and never blocks; `on_done` is called
    in the committing thread with None when the message is on the disk, else with
    what prevented it. `close` commits what is left and ends the thread.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._wake = threading.Condition()
        self._waiting: list[tuple[Staged, Done]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def submit(self, staged: Staged, on_done: Done) -> None:
        """Have `staged` committed with the next batch."""
        with self._wake:
            self._waiting.append((staged, on_done))
            self._wake.notify()

    def close(self) -> None:
        """Commit what was submitted, then end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            errors = self._commit([staged for staged, _ in batch])
            for (_, on_done), error in zip(batch, errors, strict=True):
                on_done(error)

    def _next_batch(self) -> list[tuple[Staged, Done]]:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._closing)
            batch, self._waiting = self._waiting, []
            return batch

    def _commit(self, batch: list[Staged]) -> list[BaseException | None]:
        try:
            return list(self._spool.commit(batch))
        except BaseException as error:  # a dead thread would leave every client waiting
            return [error] * len(batch)

"""People who write in bursts, all at once, as OpenClaw passes them on; each until it is a 200.

    python crowd.py TCP_URL UNIX_PATH PEOPLE EACH PAUSE

Message N of a person is sent when N-1 was acknowledged. Prints `PERSON NUMBER ID` for each
message, and in the end `refused STATUS TIMES` for each answer that was not 200 (0: none).
PAUSE is the mean time between two bursts, in seconds.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from fixtures import bodies
from poster import deliver


class Person(threading.Thread):
    """One conversation."""

    def __init__(self, url: str, number: int, count: int, pause: float) -> None:
        super().__init__()
        self.url, self.title, self.count, self.pause = url, f"p{number}", count, pause
        self.chat = f"telegram:{1000 + number}"
        self.refused: Counter[int] = Counter()

    def run(self) -> None:
        left = 0
        for number in range(self.count):
            if left == 0:
                left = random.randint(1, min(40, max(2, self.count // 3)))
                time.sleep(random.uniform(0, 2 * self.pause))
            left -= 1
            text = f"{self.title} {number}"
            body = bodies.direct(text, chat=self.chat, message_id=str(number))
            print(text, deliver(self.url, text.replace(" ", "-"), body, self.refused), flush=True)


def main(tcp: str, unix: str, people: str, each: str, pause: str) -> None:
    urls = [tcp, unix]
    crowd = [Person(urls[n % 2], n, int(each), float(pause)) for n in range(int(people))]
    for person in crowd:
        person.start()
    for person in crowd:
        person.join()
    refused = sum((person.refused for person in crowd), Counter[int]())
    for status, times in sorted(refused.items()):
        print("refused", status, times)


if __name__ == "__main__":
    main(*sys.argv[1:])

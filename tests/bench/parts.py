"""The parts of the bench: what is measured, against what, and the goal."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aap.inbox import Spool
from aap.message import IdClock, State
from tests.harness import shells
from tests.harness.command import Terminal
from tests.harness.machine import BootError, booted

from . import peers, programs, tokens, wakeup
from .disk import settle
from .figures import MeasureError, Report, Samples, alternate, ratios
from .load import make_body, make_request
from .programs import AAP, PYTHON, Fifo, Server

BARE = "bare FastAPI app"
NEW, OLD = f"ai-agent-proxy {peers.NEW}", f"ai-agent-proxy {peers.OLD}"
KIB = 1024


class Bench(NamedTuple):
    """What all parts share."""

    folder: Path
    report: Report
    quick: bool

    def rounds(self, full: int, quick: int) -> int:
        """How often something is measured."""
        return quick if self.quick else full

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of everything that is started."""
        return programs.environment(self.folder / "home", **more)

    def workspace(self, name: str) -> Path:
        """A new workspace with an empty spool."""
        path = self.folder / name
        Spool(path / ".ai-agent-proxy").create()
        return path


# 1. The first answer


def measure_start(bench: Bench) -> None:
    """From the start of the API, with a request waiting in its socket, to the answer."""
    bench.report.title("First answer after a start: a 1 KiB chat request waits at the socket")
    contenders: dict[str, Callable[[], float]] = {
        "aap": partial(_first_answer, bench, programs.aap_api(bench.workspace("start"))),
        BARE: partial(_first_answer, bench, programs.bare(3)),
    }
    for name, version in ((NEW, peers.NEW), (OLD, peers.OLD)):
        reason = peers.prepare(version)
        if reason:
            bench.report.note(f"without {name}: {reason}")
        else:
            contenders[name] = partial(_first_answer_of_peer, bench, version)
    contenders["python -c pass"] = partial(
        programs.run_ms, [PYTHON, "-c", "pass"], bench.environment()
    )
    samples = alternate(contenders, bench.rounds(15, 5))
    for name in samples:
        bench.report.line(name, samples[name])
    bench.report.goal(f"aap / {BARE}", ratios(samples, "aap", BARE), most=0.40)
    if OLD in samples:
        bench.report.goal(f"aap / {OLD}", ratios(samples, "aap", OLD), most=0.25)
    bench.report.note("the proxies open their port themselves and are asked until they answer")


def _first_answer(bench: Bench, argv: list[str]) -> float:
    with programs.listen() as sock, socket.socket() as client:
        client.connect(sock.getsockname())
        client.sendall(make_request(KIB, sock.getsockname()[1])[0])
        start = time.perf_counter()
        process = programs.spawn_with_socket(argv, sock, bench.environment())
        try:
            return _await_answer(client, start)
        finally:
            programs.end(process)


def _first_answer_of_peer(bench: Bench, version: str) -> float:
    workspace = bench.folder / version
    workspace.mkdir(exist_ok=True)
    port = programs.free_port()
    env = bench.environment(**peers.ENVIRONMENT)
    start = time.perf_counter()
    process = programs.spawn(peers.command(version, workspace, port), env, workspace)
    try:
        with _connect(port, start + 30) as client:
            client.sendall(make_request(KIB, port)[0])
            return _await_answer(client, start)
    finally:
        programs.end(process)


def _connect(port: int, deadline: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if time.perf_counter() > deadline:
                raise MeasureError(f"nobody listens at {port}") from None
            time.sleep(0.001)


def _await_answer(client: socket.socket, start: float) -> float:
    client.settimeout(30)
    answer = client.recv(65536)
    took = (time.perf_counter() - start) * 1000
    if not answer.startswith(b"HTTP/1.1 200"):
        raise MeasureError(f"answered: {answer[:200]!r}")
    return took


# 2. The command line


def measure_list(bench: Bench) -> None:
    """What a person at the keyboard waits for."""
    report, env = bench.report, bench.environment()
    report.title("Commands (whole process)")
    pass_ = partial(programs.run_ms, [PYTHON, "-c", "pass"], env)
    base = os.path.realpath(PYTHON)
    few = bench.workspace("few")
    fill(few, 10)
    samples = alternate(
        {
            "python -c pass": pass_,
            f"{base} -I -S -c pass": partial(
                programs.run_ms, [base, "-I", "-S", "-c", "pass"], env
            ),
            "aap --version": partial(programs.run_ms, [AAP, "--version"], env),
            "aap inbox ls, 10 messages": partial(programs.run_ms, _ls(few), env),
            "ls": partial(programs.run_ms, ["ls", programs.aap_inbox(few)], env),
        },
        bench.rounds(21, 9),
    )
    _show(report, samples)
    report.goal(
        "aap inbox ls, 10 / python -c pass",
        ratios(samples, "aap inbox ls, 10 messages", "python -c pass"),
        most=4,
        stretch=1.3,
    )
    _measure_settling(bench, few, 10)
    many = bench.workspace("many")
    fill(many, 10_000)
    _measure_large(bench, many, "10,000", bench.rounds(15, 7), most=4)
    _measure_settling(bench, many, 10_000)
    _measure_completion(bench, many)
    if not bench.quick:
        with _million(bench) as most:
            _measure_large(bench, most, "1,000,000", 5, most=1)


def _show(report: Report, samples: Samples) -> None:
    for name in samples:
        report.line(name, samples[name])


def _ls(workspace: Path) -> list[str]:
    return [AAP, "inbox", "ls", "--workspace", str(workspace)]


def _measure_large(bench: Bench, workspace: Path, count: str, rounds: int, most: float) -> None:
    env, inbox = bench.environment(), str(programs.aap_inbox(workspace))
    mine = f"aap inbox ls, {count} messages"
    samples = alternate(
        {
            mine: partial(programs.run_ms, _ls(workspace), env),
            f"ls, {count}": partial(programs.run_ms, ["ls", inbox], env),
            f"ls -U, {count}": partial(programs.run_ms, ["ls", "-U", inbox], env),
        },
        rounds,
    )
    _show(bench.report, samples)
    bench.report.goal(
        f"aap inbox ls, {count} / ls", ratios(samples, mine, f"ls, {count}"), most=most
    )


def _measure_settling(bench: Bench, workspace: Path, count: int) -> None:
    spool = Spool(workspace / ".ai-agent-proxy")
    ids = iter([entry.id for entry in spool.entries(State.INBOX, limit=10)])
    env = bench.environment()

    def settle_one() -> float:
        argv = [AAP, "inbox", "done", next(ids), "--workspace", str(workspace)]
        return programs.run_ms(argv, env)

    name = f"aap inbox done, {count:,} messages"
    samples = alternate({name: settle_one}, min(9, bench.rounds(9, 5)))
    _show(bench.report, samples)


def _measure_completion(bench: Bench, workspace: Path) -> None:
    """From the Tab key to the whole id on the screen, in shells that run already."""
    spool = Spool(workspace / ".ai-agent-proxy")
    message = spool.entries(State.INBOX, limit=1)[0].id
    share = str(bench.folder / "share")
    env = bench.environment(AAP_WORKSPACE=str(workspace), XDG_DATA_HOME=share)
    shells.put_scripts(env)
    contenders = {
        "python -c pass": partial(programs.run_ms, [PYTHON, "-c", "pass"], env),
        "aap inbox ids ID": partial(programs.run_ms, [AAP, "inbox", "ids", message[:15]], env),
    }
    with ExitStack() as stack:
        for shell in shells.START:
            if missing := shells.why_not(shell):
                bench.report.note(f"completion: {missing}")
                continue
            screen = shells.start(shell, env)
            stack.callback(screen.close)
            contenders[f"Tab after an id in {shell}"] = partial(_press_tab, screen, message)
        samples = alternate(contenders, bench.rounds(15, 7))
    _show(bench.report, samples)
    tab, pass_ = "Tab after an id in bash", "python -c pass"
    if tab in samples:
        # On a busy machine only the ratio tells.
        bench.report.line(f"{tab} / {pass_}", ratios(samples, tab, pass_), "×")
        name = "completion of an id in bash, 10,000 messages"
        bench.report.goal(name, samples[tab], most=50, unit="ms")


def _press_tab(screen: Terminal, message: str) -> float:
    known, rest = message[:15], message[15:]
    screen.screen = ""
    screen.type(f"aap inbox show {known}")
    screen.wait_for(known)
    screen.screen = ""
    start = time.perf_counter()
    screen.type("\t")
    screen.wait_for(rest)
    took = (time.perf_counter() - start) * 1000
    screen.type("\x15")  # Ctrl-U empties the line
    return took


def fill(workspace: Path, count: int, *, linked: bool = False) -> None:
    """Put `count` messages of 1 KiB into an inbox.

    With `linked` many are one file by several names, which is quick to make and to list;
    but to aap these are one message, which the first change of any of them would show.
    """
    inbox = programs.aap_inbox(workspace)
    body = make_body(KIB)
    clock = IdClock()
    for number in range(count):
        path = inbox / f"{clock.next(b'%d' % number)}.json"
        if not linked or number % 50_000 == 0:  # ext4 gives one file at most 65,000 names
            first = path
            first.write_bytes(body)
        else:
            os.link(first, path)


@contextmanager
def _million(bench: Bench) -> Iterator[Path]:
    workspace = bench.workspace("most")
    fill(workspace, 1_000_000, linked=True)
    yield workspace
    # Left to the end of the disk: to delete it takes as long as to make it.


# 3. The wake-up


def measure_wake(bench: Bench) -> None:
    """From a message in the inbox to the first line of the worker, and to its agent."""
    report, env = bench.report, bench.environment()
    report.title("Worker: started by hand when a message is in the inbox")
    fifo = Fifo(bench.folder / "started")
    workspace = bench.workspace("wake")
    with_agent = {
        **env,
        "AAP_AGENT": "custom",
        "AAP_AGENT_CLI": f"/bin/sh -c 'echo > {fifo.path}'",
        "AAP_SETTLE": "0",
    }
    argv = [PYTHON, "-I", "-m", "aap.worker", "--workspace", str(workspace)]
    deliver = Spool(workspace / ".ai-agent-proxy").deliver
    body = make_body(KIB)

    def first_line() -> float:
        deliver(body)
        took = programs.first_output_ms(argv, with_agent)
        fifo.wait()
        return took

    def agent() -> float:
        deliver(body)
        start = time.perf_counter()
        process = programs.spawn(argv, with_agent, workspace)
        moment = fifo.wait()
        if process.wait() != 0:
            raise MeasureError(f"the worker ended with {process.returncode}")
        return (moment - start) * 1000

    samples = alternate(
        {
            "python -c pass": partial(programs.run_ms, [PYTHON, "-c", "pass"], env),
            "python -I -S -c pass": partial(
                programs.run_ms, [PYTHON, "-I", "-S", "-c", "pass"], env
            ),
            "worker's first line": first_line,
            "agent started": agent,
        },
        bench.rounds(21, 9),
    )
    _show(report, samples)
    report.goal(
        "worker's first line / python -c pass",
        ratios(samples, "worker's first line", "python -c pass"),
        most=3,
    )
    report.line(
        "agent started / python -c pass", ratios(samples, "agent started", "python -c pass"), "×"
    )
    _measure_wake_by_systemd(bench)


def _measure_wake_by_systemd(bench: Bench) -> None:
    report = bench.report
    report.title("Worker: woken by a real systemd, its sandbox included")
    try:
        with booted() as machine:
            samples = alternate(wakeup.contenders(*wakeup.prepare(machine)), bench.rounds(21, 7))
    except BootError as error:
        report.note(f"not measured: {error}")
        return
    mine, bare = samples
    _show(report, samples)
    report.goal(f"{mine} / {bare}", ratios(samples, mine, bare), most=2.5)


# 4. and 5. Under load


class Cell(NamedTuple):
    """One load, and what is wanted of it: at least so often the rate of the bare app, of NEW."""

    size: int
    connections: int
    of_bare: float | None = None
    of_new: float | None = None
    bare_stretch: float | None = None
    new_stretch: float | None = None

    def __str__(self) -> str:
        noun = "connection" if self.connections == 1 else "connections"
        return f"{self.size // KIB} KiB, {self.connections} {noun}"


CELLS = (
    Cell(1 * KIB, 1),
    Cell(1 * KIB, 8),
    Cell(1 * KIB, 64, of_bare=1.2, of_new=14),
    Cell(32 * KIB, 1, 0.25, 3.5),
    Cell(32 * KIB, 8),
    Cell(32 * KIB, 64, 0.55, 10, 0.70, 13),
    Cell(512 * KIB, 1),
    Cell(512 * KIB, 8, 0.40, 20),
    Cell(512 * KIB, 64),
)
_GOAL_CELL = Cell(32 * KIB, 64)
_OLD_GOAL = 50
_CPU_GOAL = 0.35  # ms for a request of 32 KiB
_MEMORY_GOAL = 60  # MiB under load


class Load(NamedTuple):
    """What one burst of requests showed."""

    rate: float
    p50: float
    p99: float
    cpu: float  # of the server, ms per request
    own_cpu: float  # of the generator, ms per request


def drive(bench: Bench, server: Server, size: int, connections: int, seconds: float) -> Load:
    """Load a server for `seconds`, after its disk has come to rest and its inbox is empty."""
    server.empty()
    settle(bench.folder)
    argv = [PYTHON, "-I", "-S", str(programs.HERE / "load.py")]
    argv += [str(server.port), str(size), str(connections), str(seconds)]
    before = server.cpu()
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    used = server.cpu() - before
    if found.returncode != 0:
        raise MeasureError(f"{server.name}, {size} bytes: {found.stderr.strip()}")
    result = json.loads(found.stdout)
    count, latencies = result["requests"], result["latencies"]
    return Load(
        rate=count / result["seconds"],
        p50=latencies[count // 2],
        p99=latencies[count * 99 // 100],
        cpu=used * 1000 / count,
        own_cpu=result["cpu"] * 1000 / count,
    )


@contextmanager
def servers(bench: Bench, *versions: str) -> Iterator[dict[str, Server]]:
    """Run aap, the bare app and the peers side by side; an idle one costs nothing."""
    with ExitStack() as stack:
        port, workspace = programs.free_port(), bench.workspace("load")
        argv = [*programs.aap_api(workspace), "--bind", f"127.0.0.1:{port}"]
        inbox = programs.aap_inbox(workspace)
        running = {
            "aap": stack.enter_context(
                programs.serving("aap", argv, bench.environment(), port, inbox, workspace)
            ),
            BARE: stack.enter_context(programs.serving_bare(bench.environment())),
        }
        for version in versions:
            reason = peers.prepare(version)
            if reason:
                bench.report.note(f"without ai-agent-proxy {version}: {reason}")
                continue
            running[f"ai-agent-proxy {version}"] = stack.enter_context(_peer(bench, version))
        yield running


@contextmanager
def _peer(bench: Bench, version: str) -> Iterator[Server]:
    port, workspace = programs.free_port(), bench.folder / f"load-{version}"
    workspace.mkdir(exist_ok=True)
    inbox = peers.inbox(version, workspace)
    argv, env = peers.command(version, workspace, port), bench.environment(**peers.ENVIRONMENT)
    with programs.serving(f"ai-agent-proxy {version}", argv, env, port, inbox, workspace) as server:
        yield server


def measure_enqueue(bench: Bench) -> None:
    """Requests per second, each durable before it is answered."""
    report = bench.report
    report.title("Enqueue: requests/s | p50 / p99 ms | CPU ms per request of the server")
    report.note("the generator shares the processors; the server's log lines go to /dev/null")
    with servers(bench, peers.NEW) as running:
        for cell in CELLS:
            _measure_cell(bench, running, cell)
    _measure_old(bench)


def _measure_cell(bench: Bench, running: dict[str, Server], cell: Cell) -> None:
    loads = _alternate_loads(bench, running, cell, bench.rounds(11, 5))
    rates = {name: [load.rate for load in loads[name]] for name in loads}
    report = bench.report
    print(f"  {cell}")
    for name in loads:
        _show_loads(report, name, loads[name])
    _show_ratio(report, rates, cell, BARE, cell.of_bare, cell.bare_stretch)
    if NEW in rates:
        _show_ratio(report, rates, cell, NEW, cell.of_new, cell.new_stretch)
    if (cell.size, cell.connections) == _GOAL_CELL[:2]:
        cpu = [load.cpu for load in loads["aap"]]
        report.goal(f"CPU of aap, {cell}", cpu, most=_CPU_GOAL, unit="ms")
        report.line("CPU of the generator", [load.own_cpu for load in loads["aap"]])


def _alternate_loads(
    bench: Bench, running: dict[str, Server], cell: Cell, rounds: int
) -> dict[str, list[Load]]:
    seconds = 0.6  # short and often: a busy machine slows all contenders of a round alike
    loads: dict[str, list[Load]] = {name: [] for name in running}
    for server in running.values():
        drive(bench, server, cell.size, cell.connections, 0.3)
    for _ in range(rounds):
        for name, server in running.items():
            loads[name].append(drive(bench, server, cell.size, cell.connections, seconds))
    return loads


def _show_loads(report: Report, name: str, loads: list[Load]) -> None:
    p50, p99, cpu = (
        sorted(getattr(load, field) for load in loads) for field in ("p50", "p99", "cpu")
    )
    middle = len(loads) // 2
    more = f"{p50[middle]:.3g} / {p99[middle]:.3g} ms, CPU {cpu[middle]:.3g} ms"
    report.line(f"  {name}", [load.rate for load in loads], "/s", more)


def _show_ratio(
    report: Report,
    rates: Samples,
    cell: Cell,
    other: str,
    least: float | None,
    stretch: float | None,
) -> None:
    values = ratios(rates, "aap", other)
    if least is None:
        report.line(f"  aap / {other}", values, "×")
    else:
        report.goal(f"aap / {other}, {cell}", values, least=least, stretch=stretch)


def _measure_old(bench: Bench) -> None:
    """Apart from the others: each request leaves it a process that runs on."""
    with servers(bench, peers.OLD) as running:
        if OLD not in running:
            return
        pair = {"aap": running["aap"], OLD: running[OLD]}
        rates: Samples = {name: [] for name in pair}
        for _ in range(bench.rounds(3, 1)):
            for name, server in pair.items():
                load = drive(bench, server, _GOAL_CELL.size, _GOAL_CELL.connections, 2.0)
                rates[name].append(load.rate)
                if name == OLD:
                    _show_loads(bench.report, f"{OLD}, {_GOAL_CELL}", [load])
                    _wait_for_children(server)
    values = ratios(rates, "aap", OLD)
    bench.report.goal(f"aap / {OLD}, {_GOAL_CELL}", values, least=_OLD_GOAL)


def _wait_for_children(server: Server) -> None:
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        alive = [
            child
            for child in children.read_text().split()
            if b") Z" not in Path(f"/proc/{child}/stat").read_bytes()
        ]
        if not alive:
            return
        time.sleep(0.2)


def measure_memory(bench: Bench) -> None:
    """What the API holds at most while it is loaded."""
    bench.report.title("Memory of the API: the most that was resident")
    with servers(bench) as running:
        server = running["aap"]
        bench.report.line("before the first request", [server.resident()], "MiB")
        for size in (32, 512):
            server.forget_peak()
            drive(bench, server, size * KIB, 64, 1.0 if bench.quick else 3.0)
            peak = [server.resident("VmHWM")]
            what = f"under load, {size} KiB, 64 connections"
            if size == 32:
                bench.report.goal(what, peak, most=_MEMORY_GOAL, unit="MiB")
            else:
                bench.report.line(what, peak, "MiB")


# 6. Tokens


def measure_tokens(bench: Bench) -> None:
    """What an agent reads of a message, against the whole request."""
    bench.report.title("Tokens an agent spends to learn one message")
    tokens.measure(bench.folder, bench.report)


PARTS: dict[str, Callable[[Bench], None]] = {
    "start": measure_start,
    "list": measure_list,
    "wake": measure_wake,
    "enqueue": measure_enqueue,
    "memory": measure_memory,
    "tokens": measure_tokens,
}

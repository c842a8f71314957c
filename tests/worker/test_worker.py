"""The worker as systemd starts it: what becomes of messages, and what its exit code says."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.wait import wait_until
from harness.workbench import Bench

from aap.inbox import Spool
from aap.message import State

Make = Callable[..., bytes]


def until(predicate: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_an_empty_inbox_is_left_at_once(bench: Bench) -> None:
    assert bench.work() == 0


def test_a_run_that_ends_well_settles_its_messages(bench: Bench, message: Make) -> None:
    bench.agent('echo "$1"')
    ids = [bench.spool.deliver(message(text, "42")) for text in ("first", "second")]
    assert bench.work() == 0
    assert bench.states() == dict.fromkeys(ids, "done")
    (run,) = bench.log("run-started")
    assert run.fields["messages"] == "2"
    text = "\n".join(bench.output())
    assert text.index("first") < text.index("second")


def test_the_echo_agent_needs_nothing(bench: Bench, message: Make) -> None:
    bench.settings["AAP_AGENT"] = "echo"
    ident = bench.spool.deliver(message("hello there"))
    assert bench.work() == 0
    assert f"echo {ident}: hello there" in bench.output()


def test_conversations_do_not_mix(bench: Bench, message: Make) -> None:
    bench.agent('echo "$1" | grep -c "^<<<message"')
    for text, chat in (("a1", "A"), ("b1", "B"), ("a2", "A"), ("x", "")):
        bench.spool.deliver(message(text, chat))
    assert bench.work() == 0
    assert bench.output() == ["2", "1", "1"]


def test_one_run_may_be_given_all_conversations(bench: Bench, message: Make) -> None:
    bench.agent('echo "$1" | grep -c "^<<<message"; echo "$1" | grep "oldest first"')
    bench.settings["AAP_BATCH"] = "workspace"
    for text, chat in (("a1", "A"), ("b1", "B"), ("a2", "A"), ("x", "")):
        bench.spool.deliver(message(text, chat))
    assert bench.work() == 0
    assert bench.output()[0] == "4"
    assert bench.output()[1].startswith("4 messages of 3 conversations, oldest first")


def test_conversations_with_sessions_of_their_own_are_never_mixed(
    bench: Bench, message: Make
) -> None:
    bench.agent('echo "$1" | grep -c "^<<<message"')
    bench.settings |= {"AAP_BATCH": "workspace", "AAP_SESSION": "conversation"}
    for text, chat in (("a1", "A"), ("b1", "B"), ("a2", "A")):
        bench.spool.deliver(message(text, chat))
    assert bench.work() == 0
    assert bench.output() == ["2", "1"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_an_agent_that_fills_the_disk_loses_nobodys_message(bench: Bench, message: Make) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2M,mode=700", "tmpfs", bench.workspace], check=True
    )
    try:
        bench.spool.create()
        first = bench.spool.deliver(message("fill it"))
        second = bench.spool.deliver(message("and then this"))
        bench.agent('cat /dev/zero > "$AAP_WORKSPACE/rubbish" || exit 4')
        assert bench.work() == 0, bench.printed
        assert bench.states() == {first: "deferred", second: "deferred"}
        (bench.workspace / "rubbish").unlink()
        bench.agent("true")
        for message_id in (first, second):
            bench.spool.release(bench.spool.find(message_id))
        assert bench.work() == 0
        assert bench.states() == {first: "done", second: "done"}
    finally:
        subprocess.run(["umount", "--lazy", bench.workspace], check=True)


def test_a_failed_run_costs_an_attempt_and_waits(bench: Bench, message: Make) -> None:
    bench.agent("exit 3")
    ident = bench.spool.deliver(message("hello"))
    assert bench.work() == 0
    entry = bench.spool.find(ident)
    assert (entry.state, entry.attempts) == (State.DEFERRED, 1)
    assert 20 < (bench.spool.retry_at(entry) or 0) - time.time() < 40
    assert bench.spool.notes(ident)[-1]["reason"] == "the agent ended with exit code 3"


@pytest.mark.slow
def test_back_off_doubles_up_to_its_limit(bench: Bench, message: Make) -> None:
    bench.agent("exit 3")
    bench.settings |= {"AAP_MAX_ATTEMPTS": "10", "AAP_RETRY_MAX": "100s"}
    ident = bench.spool.deliver(message("hello"))
    waits = []
    for _ in range(4):
        assert bench.work() == 0
        entry = bench.spool.find(ident)
        waits.append((bench.spool.retry_at(entry) or 0) - time.time())
        bench.spool.release(entry)
    for wait, expected in zip(waits, (30, 60, 100, 100), strict=True):
        assert 0.75 * expected < wait <= 1.2 * expected


def test_a_message_is_given_up_after_its_last_attempt(bench: Bench, message: Make) -> None:
    bench.agent("exit 3")
    bench.settings["AAP_MAX_ATTEMPTS"] = "2"
    ident = bench.spool.deliver(message("hello"))
    assert bench.work() == 0
    bench.spool.release(bench.spool.find(ident))
    assert bench.work() == 0
    entry = bench.spool.find(ident)
    assert (entry.state, entry.attempts) == (State.FAILED, 2)


def test_a_due_message_comes_back_with_the_sweep(bench: Bench, message: Make) -> None:
    bench.agent("exit 3")
    ident = bench.spool.deliver(message("hello"))
    bench.work()
    assert bench.work("--sweep") == 0
    assert bench.states() == {ident: "deferred"}
    os.utime(bench.spool.find(ident).path, (1, 1))
    assert bench.work("--sweep") == 0
    assert bench.states() == {ident: "inbox"}


@pytest.mark.slow
def test_who_writes_again_brings_back_what_was_put_off_in_order(
    bench: Bench, message: Make
) -> None:
    bench.agent("exit 3")
    first = bench.spool.deliver(message("first", "42"))
    other = bench.spool.deliver(message("other", "43"))
    bench.work()
    bench.agent('echo "$1" | grep -A1 "^<<<message" | grep -v "^<<<\\|^--"')
    second = bench.spool.deliver(message("second", "42"))
    assert bench.work() == 0
    assert bench.states() == {first: "done", second: "done", other: "deferred"}
    assert bench.output() == ["first", "second"]


def test_fresh_messages_do_not_wait_for_old_failures(bench: Bench, message: Make) -> None:
    old = bench.spool.deliver(message("old", "1"))
    bench.spool.defer(bench.spool.claim(bench.spool.find(old)), 1, "why")
    bench.spool.admit(time.time())
    fresh = bench.spool.deliver(message("fresh", "2"))
    bench.agent("true")
    assert bench.work() == 0
    assert [line.fields["id"] for line in bench.log("settled")] == [fresh, old]


def test_a_missing_command_costs_no_attempt(bench: Bench, message: Make) -> None:
    bench.settings["AAP_AGENT_CLI"] = "/nowhere/agent --flag"
    ident = bench.spool.deliver(message("hello"))
    process = bench.start()
    outage = bench.spool.root / "OUTAGE"
    until(outage.exists)
    assert "cannot start /nowhere/agent" in outage.read_text()
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0  # asked to stop: systemd does not start it again
    entry = bench.spool.find(ident)
    assert (entry.state, entry.attempts) == (State.INBOX, 0)
    bench.agent("true")
    assert bench.work() == 0
    assert not outage.exists()
    assert bench.states() == {ident: "done"}


@pytest.mark.slow
def test_an_outage_that_somebody_lifts_is_over_at_once(bench: Bench, message: Make) -> None:
    agent = bench.workspace / "late"
    bench.settings["AAP_AGENT_CLI"] = shlex.quote(str(agent))
    ident = bench.spool.deliver(message("hello"))
    process = bench.start()
    outage = bench.spool.root / "OUTAGE"
    until(outage.exists)
    agent.write_text("#!/bin/sh\ntrue\n")
    agent.chmod(0o755)
    outage.unlink()
    process.communicate(timeout=8)  # the next try is due in ten
    assert bench.states() == {ident: "done"}
    assert bench.log("outage-over")


@pytest.mark.slow
def test_an_outage_is_told_once_and_not_again_by_the_next_worker(
    bench: Bench, message: Make
) -> None:
    told = bench.workspace / "told"
    notify = bench.workspace.parent / "notify.sh"
    notify.write_text(f'#!/bin/sh\necho "$AAP_EVENT $(cat)" >> "{told}"\n')
    notify.chmod(0o755)
    bench.settings |= {"AAP_AGENT_CLI": "/nowhere/agent", "AAP_NOTIFY_CMD": str(notify)}
    bench.spool.deliver(message("hello"))
    for times in (1, 2):
        process = bench.start()
        until(lambda times=times: len(bench.log("outage")) == times)
        time.sleep(0.3)  # for the telling, or a second one
        process.terminate()
        process.communicate(timeout=10)
    assert len(bench.log("outage")) == 2
    (line,) = told.read_text().splitlines()
    assert line.startswith("outage cannot start /nowhere/agent")


def test_a_chat_is_told_once_that_its_message_was_given_up(bench: Bench, message: Make) -> None:
    sent = bench.workspace / "sent"
    send = bench.workspace.parent / "send.sh"
    send.write_text(f'#!/bin/sh\necho "$AAP_CHANNEL $AAP_TARGET $(cat)" >> "{sent}"\n')
    send.chmod(0o755)
    bench.agent("exit 3")
    bench.settings |= {
        "AAP_MAX_ATTEMPTS": "1",
        "AAP_FAILED_REPLY": "Sorry, that failed.",
        "AAP_DELIVERY": "command",
        "AAP_DELIVERY_CMD": str(send),
    }
    ident = bench.spool.deliver(message("hello", "42"))
    bench.spool.deliver(message("no chat"))
    assert bench.work() == 0
    assert set(bench.states().values()) == {"failed"}
    # As after a kill between telling and giving up.
    bench.spool.retry(bench.spool.find(ident))
    assert bench.work() == 0
    assert sent.read_text().splitlines() == ["telegram 42 Sorry, that failed."]
    assert [line.fields["id"] for line in bench.log("apologised")] == [ident, ident]
    assert len(bench.log("apology-failed")) == 1


def test_without_an_agent_nothing_is_lost_and_the_log_says_so(bench: Bench, message: Make) -> None:
    ident = bench.spool.deliver(message("hello"))
    process = bench.start()
    until((bench.spool.root / "OUTAGE").exists)
    process.terminate()
    process.communicate(timeout=10)
    assert bench.states() == {ident: "inbox"}
    assert bench.log("outage")[0].fields["reason"] == "no agent is configured"


@pytest.mark.slow
def test_a_run_that_takes_too_long_ends_with_all_it_started(bench: Bench, message: Make) -> None:
    pids = bench.workspace / "pids"
    bench.agent(
        f"trap '' TERM\n"
        f'setsid sh -c \'trap "" TERM; sleep 60 & echo $! >> "{pids}"; sleep 60\' &\n'
        f'echo $$ >> "{pids}"; while :; do sleep 1; done'
    )
    bench.settings |= {"AAP_RUN_TIMEOUT": "1s", "AAP_STOP_GRACE": "1s"}
    ident = bench.spool.deliver(message("hello"))
    start = time.monotonic()
    assert bench.work() == 0
    assert time.monotonic() - start < 8
    assert bench.states() == {ident: "deferred"}
    assert "RUN_TIMEOUT" in bench.spool.notes(ident)[-1]["reason"]
    assert [pid for pid in pids.read_text().split() if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.slow
def test_a_daemon_does_not_outlive_its_run(bench: Bench, message: Make) -> None:
    pid = bench.workspace / "pid"
    bench.agent(f"setsid sh -c 'echo $$ > \"{pid}\"; exec sleep 60' >/dev/null 2>&1 & sleep 0.3")
    bench.spool.deliver(message("hello"))
    assert bench.work() == 0
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_told_to_stop_it_gives_its_messages_back(bench: Bench, message: Make) -> None:
    bench.agent('trap "echo leaving; exit 1" TERM; echo here; while :; do sleep 0.1; done')
    ident = bench.spool.deliver(message("hello"))
    process = bench.start()
    until(lambda: bench.output() == ["here"])
    assert (bench.spool.root / "RUN").exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0
    entry = bench.spool.find(ident)
    assert (entry.state, entry.attempts) == (State.INBOX, 0)
    assert {"here", "leaving"} <= set(bench.output())
    assert not (bench.spool.root / "RUN").exists()


def test_a_killed_workers_messages_are_handled_by_the_next(bench: Bench, message: Make) -> None:
    bench.agent('echo run; [ -e "$0.second" ] || { touch "$0.second"; sleep 60; }')
    ident = bench.spool.deliver(message("hello"))
    process = bench.start()
    until(lambda: bench.output() == ["run"])
    agent = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()
    process.kill()
    process.communicate(timeout=10)
    for pid in agent:  # as systemd does with the cgroup
        os.kill(int(pid), signal.SIGKILL)
    assert bench.states() == {ident: "active"}
    assert bench.work() == 0
    assert bench.states() == {ident: "done"}
    assert bench.spool.find(ident).attempts == 0


def test_the_sweep_brings_back_what_a_dead_worker_left(bench: Bench, message: Make) -> None:
    ident = bench.spool.deliver(message("hello"))
    bench.spool.claim(bench.spool.find(ident))
    with bench.spool.lock():
        assert bench.work("--sweep") == 0
        assert bench.states() == {ident: "active"}
    assert bench.work("--sweep") == 0
    assert bench.states() == {ident: "inbox"}


@pytest.mark.parametrize("flags", [(), ("--sweep",)])
def test_a_name_that_a_power_cut_left_goes_and_the_log_says_so(
    bench: Bench, message: Make, flags: tuple[str, ...]
) -> None:
    ident = bench.spool.deliver(message("hello"))
    left = bench.spool.find(ident).path
    os.link(left, bench.spool.folder(State.DONE) / left.name)
    assert bench.work(*flags) == 0
    assert bench.states() == {ident: "done"}
    (told,) = bench.log("twin-removed")
    assert told.fields["name"] == f"inbox/{left.name}"


@pytest.mark.slow
def test_what_the_agent_settles_itself_is_not_run_again(bench: Bench, message: Make) -> None:
    bench.agent(
        'ID=$(echo "$1" | sed -n "s/^<<<message \\(\\S*\\) .*/\\1/p" | head -n1)\n'
        'mv "$AAP_WORKSPACE/.ai-agent-proxy/active/$ID.json" "$AAP_WORKSPACE/.ai-agent-proxy/done/"'
        "\nexit 1"
    )
    first = bench.spool.deliver(message("first", "42"))
    second = bench.spool.deliver(message("second", "42"))
    assert bench.work() == 0
    assert bench.states() == {first: "done", second: "deferred"}


def test_an_agent_that_deletes_its_message_stops_nobody(bench: Bench, message: Make) -> None:
    bench.agent('rm "$AAP_WORKSPACE"/.ai-agent-proxy/active/*')
    bench.spool.deliver(message("one"))
    bench.spool.deliver(message("two"))
    assert bench.work() == 0
    assert bench.states() == {}


@pytest.mark.slow
def test_a_flood_of_output_is_cut_and_the_end_is_said(bench: Bench, message: Make) -> None:
    bench.agent("head -c 1000000000 /dev/zero | tr '\\0' 'x'; echo; echo end")
    bench.settings["AAP_LOG_RUN_MAX"] = "100K"
    ident = bench.spool.deliver(message("hello"))
    assert bench.work(timeout=120) == 0
    assert bench.states() == {ident: "done"}
    left_out = 1_000_000_000 + 3 - 100 * 1024
    assert bench.output()[-1] == f"[{left_out} characters more were printed and left out]"
    assert sum(path.stat().st_size for path in bench.spool.logs.iterdir()) < 200_000


def test_the_agent_gets_no_terminal_and_an_input_that_ends(bench: Bench, message: Make) -> None:
    bench.agent('cat; tty; ps -o tty= -p $$; pwd; env | grep -c "^NOTIFY_SOCKET"')
    bench.settings["NOTIFY_SOCKET"] = "/run/systemd/notify"
    bench.spool.deliver(message("hello"))
    bench.work()
    assert bench.output() == ["not a tty", "?", str(bench.workspace), "0"]


@pytest.mark.slow
def test_a_session_is_started_once_and_again_when_the_command_changes(
    bench: Bench, message: Make
) -> None:
    bench.agent("echo work")
    init = bench.workspace.parent / "init.sh"
    init.write_text('#!/bin/sh\necho init "$1" | head -n1\n')
    init.chmod(0o755)
    (bench.workspace / "SOUL.md").touch()
    bench.settings["AAP_AGENT_INIT_CLI"] = str(init)
    for _ in range(2):
        bench.spool.deliver(message("hello"))
        assert bench.work() == 0
    assert [line.split()[0] for line in bench.output()] == ["init", "work", "work"]
    bench.settings["AAP_AGENT_CLI"] += " --more"
    bench.spool.deliver(message("hello"))
    assert bench.work() == 0
    assert [line.split()[0] for line in bench.output()][3:] == ["init", "work"]


def test_a_session_that_cannot_start_is_an_outage(bench: Bench, message: Make) -> None:
    bench.agent("echo work")
    bench.settings["AAP_AGENT_INIT_CLI"] = "/bin/false"
    ident = bench.spool.deliver(message("hello"))
    process = bench.start()
    until((bench.spool.root / "OUTAGE").exists)
    process.terminate()
    process.communicate(timeout=10)
    assert bench.states() == {ident: "inbox"}
    assert bench.output() == []


@pytest.mark.slow
def test_a_burst_becomes_one_run(bench: Bench, message: Make) -> None:
    bench.agent("true")
    process = None
    for number in range(10):
        bench.spool.deliver(message(str(number), "42"))
        process = process or bench.start()
        time.sleep(0.1)
    process.communicate(timeout=10)
    assert [line.fields["messages"] for line in bench.log("run-started")] == ["10"]


@pytest.mark.slow
def test_a_stream_that_never_pauses_is_not_waited_for_forever(bench: Bench, message: Make) -> None:
    bench.agent("true")
    process = None
    for number in range(60):  # 3 s and more; ten times SETTLE is 2 s
        bench.spool.deliver(message(str(number), "42"))
        process = process or bench.start()
        time.sleep(0.05)
    begun = bench.log("run-started")
    process.communicate(timeout=10)
    assert begun, "nothing was handled while messages kept coming"
    assert set(bench.states().values()) == {"done"}


@pytest.mark.slow
def test_an_old_message_is_not_held_up_to_settle(bench: Bench, message: Make) -> None:
    bench.agent("true")
    bench.settings["AAP_SETTLE"] = "2s"
    bench.spool.deliver(message("hello"))
    time.sleep(2)
    start = time.monotonic()
    assert bench.work() == 0
    assert time.monotonic() - start < 1.5


# What others put into the inbox


@pytest.mark.slow
def test_a_json_file_of_any_name_is_a_message(bench: Bench) -> None:
    bench.agent("true")
    for name in ("note.json", "no ending", "x.tmp", "-dash", "new\nline.json", "ünï.json"):
        bench.put(name, b'{"messages":[{"role":"user","content":"hi"}]}')
    bench.put(os.fsdecode(b"\xff\xfe.json"), b"{}")
    assert bench.work() == 0
    assert sorted(bench.states().values()) == ["done"] * 7


def test_strays_never_stall_the_queue_and_are_never_deleted(bench: Bench, message: Make) -> None:
    bench.agent("true")
    inbox = bench.spool.folder(State.INBOX)
    for name in (".hidden", "x~", "x.bak"):
        bench.put(name, b"{}")
    (inbox / "folder").mkdir()
    (inbox / "folder" / "kept").touch()
    os.mkfifo(inbox / "fifo")
    (inbox / "link.json").symlink_to("/etc/passwd")
    (inbox / "dangling.json").symlink_to("/nowhere")
    for name, content in (("text.json", b"hello"), ("list.json", b"[1]"), ("empty.json", b"")):
        os.utime(bench.put(name, content), (1, 1))
    ident = bench.spool.deliver(message("hello"))
    assert bench.work() == 0
    assert bench.spool.find(ident).state is State.DONE
    assert sorted(os.listdir(inbox)) == [".hidden", "x.bak", "x~"]
    aside = {entry.name.suffix for entry in bench.spool.entries(State.FAILED) if entry.name}
    assert aside == {
        "folder", "fifo", "link.json", "dangling.json", "text.json", "list.json", "empty.json"
    }  # fmt: skip


@pytest.fixture
def nobodys_bench() -> Iterator[Bench]:
    """A workspace where an ordinary user can get at it: pytest's own folders are root's alone."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        workspace = Path(folder, "workspace")
        spool = Spool(workspace / ".ai-agent-proxy")
        spool.create()
        yield Bench(workspace, spool)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can try it as somebody else")
def test_an_unreadable_file_is_put_aside(nobodys_bench: Bench, message: Make) -> None:
    bench, nobody = nobodys_bench, 65534
    # All is imported by root: nobody cannot read a checkout that is its owner's alone.
    code = (
        "import aap, importlib, os, pkgutil, sys\n"
        "for module in pkgutil.walk_packages(aap.__path__, 'aap.'):\n"
        "    module.name.endswith('__main__') or importlib.import_module(module.name)\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from aap.worker.main import main; sys.exit(main(sys.argv[1:]))"
    )
    bench.agent("true")
    ident = bench.spool.deliver(message("hello"))
    for path in [bench.workspace.parent, *bench.workspace.parent.rglob("*")]:
        os.chown(path, nobody, nobody)
    bench.put("secret.json", b"{}").chmod(0)
    command = [sys.executable, "-c", code, "--workspace", str(bench.workspace)]
    environment = os.environ | bench.settings | {"HOME": str(bench.workspace)}
    del environment["XDG_CONFIG_HOME"]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert bench.spool.find(ident).state is State.DONE
    (aside,) = bench.spool.entries(State.FAILED)
    assert aside.path.name.endswith("secret.json")


@pytest.mark.slow
def test_a_file_that_is_still_being_copied_is_waited_for(bench: Bench) -> None:
    bench.agent('echo "$1"')
    path = bench.put("slow.json", b'{"messages":[{"role":"user",')
    process = bench.start()
    time.sleep(0.7)
    with path.open("ab") as file:
        file.write(b'"content":"whole"}]}')
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert list(bench.states().values()) == ["done"]
    assert "whole" in bench.output()


@contextmanager
def immutable(*paths: Path) -> Iterator[None]:
    """Files that nobody can move, not even root, for the length of the block."""
    if subprocess.run(["chattr", "+i", *paths], check=False, capture_output=True).returncode != 0:
        pytest.skip("this file system cannot make a file immutable")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *paths], check=True)


def test_a_message_that_cannot_be_moved_does_not_hold_up_the_others(
    bench: Bench, message: Make
) -> None:
    bench.agent("true")
    stuck = bench.put("stuck.json", b"{}")
    with immutable(stuck):
        ident = bench.spool.deliver(message("hello"))
        assert bench.work() == 75  # systemd tries again later: inbox/ is not empty
        assert bench.spool.find(ident).state is State.DONE
        assert stuck.exists()


@pytest.mark.slow
def test_an_unmovable_message_holds_up_its_own_conversation_alone(
    bench: Bench, message: Make
) -> None:
    bench.agent("true")
    spool = bench.spool
    late, first, second, other = (spool.deliver(message(t, t)) for t in ("L", "A", "A", "B"))
    now = time.time()
    stuck = [spool.defer(spool.claim(spool.find(late)), now, "why").path, spool.find(first).path]
    with immutable(*stuck):
        assert bench.work() == 75
        assert bench.states() == {late: "deferred", first: "inbox", second: "inbox", other: "done"}
        assert sorted(line.fields["name"] for line in bench.log("stuck")) == sorted(
            path.name for path in stuck
        )
        assert bench.work("--sweep") == 0
        assert len(bench.log("stuck")) == 3, "the sweep names what has just fallen due"
    assert bench.work() == 0
    assert set(bench.states().values()) == {"done"}


def test_a_folder_that_refuses_all_is_no_fault_of_each_message(bench: Bench, message: Make) -> None:
    ids = [bench.spool.deliver(message(text)) for text in "abc"]
    with immutable(bench.spool.folder(State.ACTIVE)):
        assert bench.work() == 75
    assert bench.states() == dict.fromkeys(ids, "inbox")
    assert not bench.log("stuck")
    assert "Operation not permitted" in bench.printed
    assert "Errno" not in bench.printed


@pytest.mark.slow
def test_two_workers_do_not_work_at_once(bench: Bench, message: Make) -> None:
    bench.agent("true")
    ident = bench.spool.deliver(message("hello"))
    with bench.spool.lock():
        assert bench.work() == 75
    assert "another worker" in bench.printed
    assert bench.states() == {ident: "inbox"}


@pytest.mark.slow
def test_many_conversations_are_all_handled_in_order(bench: Bench, message: Make) -> None:
    bench.agent('echo "$1" | grep -A1 "^<<<message" | grep -v "^<<<\\|^--"')
    for number in range(60):
        bench.spool.deliver(message(f"{number % 7} {number:03}", str(number % 7)))
    assert bench.work() == 0
    assert set(bench.states().values()) == {"done"}
    seen = [line.split() for line in bench.output()]
    for chat in "0123456":
        numbers = [number for owner, number in seen if owner == chat]
        assert numbers == sorted(numbers)
    assert len(seen) == 60


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_notes_that_cannot_be_read_stop_nobody(
    bench: Bench, message: Make, make: Callable[[Path], None]
) -> None:
    bench.agent('echo "$1"')
    ident = bench.spool.deliver(message("hello"))
    make(bench.spool.root / f"notes/{ident}.jsonl")
    assert bench.work() == 0
    assert bench.states() == {ident: "done"}
    assert len(bench.log("notes-unreadable")) == 1
    assert any("cannot be read: look before you answer" in line for line in bench.output())


@contextmanager
def worker_whose_disk_refuses_the_end(bench: Bench) -> Iterator[None]:
    """A worker that cannot settle what its first run did, for the length of the block."""
    root = bench.spool.root
    # Refused as long as the worker writes there: it notes that the run has begun.
    lock = f"until mount -o remount,bind,ro '{root}' 2>&1; do sleep 0.05; done"
    bench.agent(f"[ -e ran ] && exit; touch ran; mount --bind '{root}' '{root}'; {lock}")
    # The mount is seen by the worker, by the agent and by nobody else.
    worker = [sys.executable, "-m", "aap.worker", "--workspace", str(bench.workspace)]
    private = ["unshare", "--mount", "--propagation=private", *worker]
    with subprocess.Popen(private, env=os.environ | bench.settings) as process:
        wait_until(lambda: bench.log("not-settled"), what="the worker to complain")
        yield
        there = ["nsenter", f"--target={process.pid}", "--mount"]
        subprocess.run([*there, "umount", root], check=True)
        assert process.wait(20) == 0


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_a_disk_that_refuses_the_end_of_a_run_makes_no_second_run(
    bench: Bench, message: Make
) -> None:
    ident = bench.spool.deliver(message("hello"))
    with worker_whose_disk_refuses_the_end(bench):
        assert bench.states() == {ident: "active"}
    assert bench.states() == {ident: "done"}
    assert len(bench.log("run-started")) == 1
    (told,) = bench.log("not-settled")
    assert told.fields["reason"] == "Read-only file system"


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_what_was_deleted_or_put_back_before_the_end_is_not_settled_unseen(
    bench: Bench, message: Make
) -> None:
    spool = bench.spool
    ids = [spool.deliver(message(text, "A")) for text in "abc"]
    with worker_whose_disk_refuses_the_end(bench):
        deleted, put_back, _ = spool.entries(State.ACTIVE)
        spool.remove(deleted)
        spool.give_back(put_back)
    assert bench.states() == {ids[1]: "done", ids[2]: "done"}
    claimed = [line.fields["id"] for line in bench.log("claimed")]
    assert claimed == [*ids, ids[1]], "it was run again, and the last one was not"

"""`aap doctor` without a service manager: what is broken is found, and the cure cures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command import AAP, Run, Terminal, chat, environment, execute
from harness.pairs import both_ways, checks_with_a_pair, seen

from aap import __version__, copies, shared, skillset
from aap.cli.checks import CHECKS, Finding, Patient, _in_place, examine
from aap.cli.checks.finding import INSTALL
from aap.cli.place import Place
from aap.errors import Exit
from aap.inbox import Pause, Spool, write_pause
from aap.log import DailyLog
from aap.message import State
from aap.systemd import record
from aap.systemd.units import Plan

__all__ = ["both_ways"]  # a fixture

SEVERITIES = ["ok", "note", "warn", "FAIL"]
SHM = Path("/dev/shm")


def look(check: str) -> Finding:
    """The worst that a check finds."""
    found = examine(Patient(Place()), [check])
    worst = max(found, key=lambda finding: SEVERITIES.index(finding.severity))
    seen(check, worst.severity)
    return worst


def run(command: str) -> None:
    """A cure, as a person pastes it."""
    folder = Path(AAP[0]).parent
    path = f"{folder}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", command], check=True, env=environment(PATH=path))


def assert_cured(check: str, severity: str, said: str = "") -> None:
    """The check finds it, and its own command mends it."""
    found = look(check)
    assert (found.id, found.severity) == (check, severity)
    assert said in found.text
    assert found.why
    run(found.fix)
    assert look(check).severity == "ok", found.fix


def config_file(home: Path, text: str, mode: int = 0o600) -> Path:
    path = home / "xdg-config/aap/aap.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


# The configuration


@pytest.mark.mends("config.parse")
def test_a_line_that_cannot_be_read(home: Path) -> None:
    path = config_file(home, "PORT=many\n")
    found = look("config.parse")
    assert found.severity == "FAIL"
    assert f"{path}:1:6" in found.text
    path.write_text("PORT=7011\n")
    assert look("config.parse").severity == "ok"


def test_a_doubtful_line_is_worth_a_word(home: Path) -> None:
    config_file(home, "PUBLIC_URL=x\n")
    assert look("config.parse").severity == "note"


@pytest.mark.mends("config.secret")
def test_a_key_that_others_can_read(home: Path) -> None:
    config_file(home, "API_KEY=a-key-of-my-own\n", 0o644)
    assert_cured("config.secret", "warn", "aap.conf")


@pytest.mark.mends("config.secret")
def test_a_secret_that_others_can_read(home: Path) -> None:
    secret = home / "xdg-config/aap/secrets/a2a-key"
    secret.parent.mkdir(parents=True, mode=0o700)
    secret.write_text("a-key-of-my-own")
    secret.chmod(0o640)
    assert_cured("config.secret", "warn", "a2a-key")


@pytest.mark.mends("config.keys")
def test_a_file_of_keys_that_others_can_change(home: Path) -> None:
    keys = config_file(home, "").with_name("keys")
    keys.write_text(f"phone sha256:{'0' * 64}\n")
    keys.chmod(0o666)
    assert_cured("config.keys", "warn", "can be changed")


# The spool


@pytest.mark.mends("spool.format")
def test_a_spool_of_a_newer_aap(spool: Spool) -> None:
    mark = spool.root / "FORMAT"
    assert look("spool.format").severity == "ok"
    mark.write_text("2\n")
    found = look("spool.format")
    assert found.severity == "FAIL"
    assert "is of format '2'" in found.text
    assert "upgrade aap" in found.fix
    mark.unlink()
    assert look("spool.format").severity == "ok"


@pytest.mark.mends("spool.permissions")
def test_a_spool_that_others_can_look_into(spool: Spool) -> None:
    spool.folder(State.INBOX).chmod(0o750)
    assert_cured("spool.permissions", "warn", "inbox")


@pytest.mark.mends("spool.permissions")
def test_a_spool_that_is_missing(spool: Spool) -> None:
    shutil.rmtree(spool.root)
    found = look("spool.permissions")
    assert (found.severity, found.fix) == ("FAIL", "aap install --user")
    spool.create()
    assert look("spool.permissions").severity == "ok"


def injected(check: str, fault: str) -> str:
    """The line of a check in a process whose system calls fail."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here")
    words = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={fault}"]
    done = execute(*words, *AAP, "doctor", "--only", check)
    line = done.stdout.splitlines()[0]
    seen(check, line.split()[0])
    return line


@pytest.mark.mends("spool.fsync")
def test_a_disk_that_takes_nothing_for_good(spool: Spool) -> None:
    assert look("spool.fsync").severity == "ok"
    line = injected("spool.fsync", "fsync:error=EIO")
    assert line.startswith("FAIL spool.fsync")
    assert "Input/output error" in line
    assert look("spool.fsync").severity == "ok", "the disk is well again"


def test_a_spool_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = SHM / f"aap-{os.getpid()}"
    monkeypatch.setenv("AAP_WORKSPACE", str(folder))
    try:
        Spool(folder / ".ai-agent-proxy").create()
        found = look("spool.fsync")
    finally:
        shutil.rmtree(folder)
    assert found.severity == "warn"
    assert "tmpfs" in found.text


@pytest.mark.mends("spool.rename")
def test_a_folder_on_another_file_system(spool: Spool) -> None:
    if SHM.stat().st_dev == spool.root.stat().st_dev:
        pytest.skip("one file system for all")
    done, elsewhere = spool.folder(State.DONE), SHM / f"aap-done-{os.getpid()}"
    elsewhere.mkdir()
    done.rmdir()
    done.symlink_to(elsewhere)
    try:
        found = look("spool.rename")
    finally:
        elsewhere.rmdir()
    assert found.severity == "FAIL"
    assert "from hold/ to done/" in found.text
    done.unlink()
    done.mkdir(mode=0o700)
    assert look("spool.rename").severity == "ok"


@pytest.mark.mends("spool.lock")
def test_locks_that_do_not_hold(spool: Spool) -> None:
    assert look("spool.lock").severity == "ok"
    line = injected("spool.lock", "flock:retval=0")
    assert line.startswith("FAIL spool.lock")
    with spool.lock():
        assert look("spool.lock").severity == "ok"


@pytest.mark.parametrize(
    ("setting", "severity", "said"),
    [
        ({"AAP_MIN_FREE": "900T"}, "FAIL", "messages are refused"),
        ({"AAP_MIN_FREE_INODES": "900000000000"}, "FAIL", "inodes messages are refused"),
    ],
)
@pytest.mark.mends("spool.space")
def test_no_room_is_left(
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
    setting: dict[str, str],
    severity: str,
    said: str,
) -> None:
    assert look("spool.space").severity == "ok"
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    found = look("spool.space")
    assert found.severity == severity
    assert said in found.text
    for name in setting:
        monkeypatch.delenv(name)
    assert look("spool.space").severity == "ok"


def test_it_gets_tight(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs(spool.root)
    monkeypatch.setenv("AAP_MIN_FREE", str(free.f_bavail * free.f_frsize // 2))
    assert look("spool.space").severity == "warn"


def age(path: Path, seconds: float = 7200) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.mends("spool.strays")
def test_a_file_whose_name_wakes_nobody(spool: Spool) -> None:
    stray = spool.folder(State.INBOX) / "a letter.bak"
    stray.write_bytes(chat("hi"))
    assert look("spool.strays").severity == "ok", "it may be somebody's half-written file"
    age(stray)
    assert_cured("spool.strays", "warn", "a letter.bak")
    assert spool.count(State.INBOX) == 1


@pytest.mark.mends("spool.leftovers")
def test_what_killed_programs_left(spool: Spool) -> None:
    gone = spool.deliver(chat("hi"))
    for path in (
        spool.folder(State.INBOX) / f".{gone}.json",
        spool.root / ".RUN.123.new",
        spool.root / "notes" / f"{gone}.jsonl",
    ):
        path.write_text("{}\n")
        age(path)
    assert "2 files" in look("spool.leftovers").text, "a note of a message that is there stays"
    spool.remove(spool.find(gone))
    (spool.root / "notes" / f"{gone}.jsonl").write_text("{}\n")
    age(spool.root / "notes" / f"{gone}.jsonl")
    assert_cured("spool.leftovers", "note", "3 files")


@pytest.mark.parametrize("content", ["", "\0" * 40, "[1]", '{"a":', "[" * 100_000])
@pytest.mark.mends("spool.corrupt")
def test_what_waits_and_is_no_message(spool: Spool, content: str) -> None:
    held = spool.hold(spool.find(spool.deliver(chat("hi"))))
    held.path.write_text(content)
    found = look("spool.corrupt")
    assert found.severity == "warn"
    assert held.id in found.fix
    run(f"{found.fix} --yes")
    assert look("spool.corrupt").severity == "ok"


@pytest.mark.mends("spool.failed")
def test_what_was_given_up(spool: Spool) -> None:
    entry = spool.fail(spool.find(spool.deliver(chat("hi"))), "no")
    found = look("spool.failed")
    assert (found.severity, found.fix) == ("warn", "aap inbox ls --state failed")
    spool.retry(entry)
    assert look("spool.failed").severity == "ok"


@pytest.mark.mends("clock.sane")
def test_a_clock_that_was_set_back(spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    assert look("clock.sane").severity == "ok"
    ahead = spool.folder(State.DONE) / f"2{message[1:]}.json"
    ahead.write_bytes(b"{}")
    found = look("clock.sane")
    assert (found.severity, found.fix) == ("warn", "sudo timedatectl set-ntp true")
    ahead.unlink()
    assert look("clock.sane").severity == "ok"


# Worker and agent


@pytest.mark.mends("worker.run")
def test_the_last_run_failed(spool: Spool) -> None:
    assert "no run so far" in look("worker.run").text
    log = DailyLog(spool.logs, echo=False)
    log.event("warning", "worker", "run-ended", outcome="failed", seconds="1", reason="of it")
    found = look("worker.run")
    assert (found.severity, found.detail) == ("warn", "of it")
    log.event("info", "worker", "run-ended", outcome="ok", seconds="1")
    assert look("worker.run").severity == "ok"


@pytest.mark.mends("worker.orphans")
def test_messages_of_a_dead_worker(spool: Spool) -> None:
    entry = spool.find(spool.deliver(chat("hi")))
    entry.path.rename(spool.folder(State.ACTIVE) / entry.path.name)
    found = look("worker.orphans")
    assert found.severity == "warn"
    assert "aap-sweep@" in found.fix
    with spool.lock():
        assert look("worker.orphans").severity == "ok"
    spool.recover()
    assert look("worker.orphans").severity == "ok"


@pytest.mark.mends("worker.oldest")
def test_paused_messages_may_wait(spool: Spool) -> None:
    message = spool.folder(State.INBOX) / "0jb3k5m9q2xw7c4e8r0t.json"
    message.write_bytes(chat("hi"))
    write_pause(spool.root, Pause(time.time()))
    found = look("worker.oldest")
    assert (found.severity, found.fix) == ("note", "aap resume")
    message.unlink()
    assert look("worker.oldest").severity == "ok"


@pytest.mark.mends("agent.found")
def test_an_agent_that_is_not_there(
    home: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no agent is configured" in look("agent.found").text
    path = config_file(home, "AGENT_CLI=my-agent --flag\n")
    found = look("agent.found")
    assert found.severity == "FAIL"
    assert "nor in this shell's" in found.text
    program = home / "bin/my-agent"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert look("agent.found").severity == "ok"
    path.write_text("AGENT_CLI=codex exec resume --last\n")
    assert any("runs as" in each.detail for each in examine(Patient(Place()), ["agent.found"]))


@pytest.mark.mends("agent.outage")
def test_an_agent_that_is_out_of_order(spool: Spool) -> None:
    assert look("agent.outage").severity == "ok"
    told = {"reason": "no network", "since": time.time() - 60, "retry_at": time.time() + 60}
    (spool.root / "OUTAGE").write_text(json.dumps(told))
    found = look("agent.outage")
    assert (found.severity, found.detail) == ("warn", "no network")
    assert "for 1 min" in found.message
    (spool.root / "OUTAGE").unlink()
    assert look("agent.outage").severity == "ok"


# Skills, OpenClaw


@pytest.mark.mends("skills.current")
def test_skills_of_another_version(workspace: Path) -> None:
    assert look("skills.current").severity == "note"
    skillset.install(workspace)
    assert look("skills.current").severity == "ok"
    manifest = workspace / skillset.MANIFEST
    known = json.loads(manifest.read_text())
    path = next(iter(known["files"]))
    (workspace / path).write_text("what an older aap wrote")
    known["files"][path] = copies.fingerprint(b"what an older aap wrote")
    manifest.write_text(json.dumps(known))
    assert_cured("skills.current", "warn", "another version")
    (workspace / path).write_text("mine")
    assert look("skills.current").severity == "note"


@pytest.mark.mends("shell.current")
def test_manual_pages_and_completions_of_another_version(home: Path) -> None:
    assert examine(Patient(Place()), ["shell.current"]) == []  # nothing is installed
    plan = Plan("python3", "127.0.0.1:7011", {}, home / "secrets")
    record.write(record.Record(__version__, plan, ()))
    assert look("shell.current").severity == "note"
    share, manifest = record.share_folder("user"), record.shared_file("user")
    shared.install(share, manifest)
    assert look("shell.current").severity == "ok"
    page = share / "man/man1/aap.1"
    page.write_text("what an older aap wrote")
    assert look("shell.current").severity == "note"  # or somebody else
    known = json.loads(manifest.read_text())
    known["files"]["man/man1/aap.1"] = copies.fingerprint(page.read_bytes())
    manifest.write_text(json.dumps(known))
    found = look("shell.current")
    assert (found.severity, found.fix, found.safe) == ("warn", "aap install --user", True)
    # What `aap install` does; it needs a systemd for the rest.
    assert [each.action for each in shared.install(share, manifest)] == ["updated"]
    assert look("shell.current").severity == "ok"


@pytest.mark.mends("openclaw.settings")
def test_openclaw_that_does_not_know_us(home: Path) -> None:
    assert "no OpenClaw" in look("openclaw.settings").text
    path = home / ".openclaw/openclaw.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    found = look("openclaw.settings")
    assert (found.severity, found.fix) == ("FAIL", "aap openclaw check")
    assert "models.providers.aap.baseUrl" in found.text
    run("aap openclaw setup --write")
    assert look("openclaw.settings").severity == "ok"


# The command


@pytest.mark.slow
def test_groups_and_single_checks_can_be_chosen_and_left_out(aap: Run, spool: Spool) -> None:
    def ids(*words: str) -> set[str]:
        done = aap("doctor", "--json", *words)
        return {each["id"] for each in json.loads(done.stdout)["findings"]}

    spools = {check for check in CHECKS if check.startswith("spool.")}
    assert ids("--only", "spool") == spools
    assert ids("--only", "spool", "--skip", "spool.space") == spools - {"spool.space"}
    assert ids("--only", "clock.sane", "--only", "config.keys") == {"clock.sane", "config.keys"}
    for option in ("--only", "--skip"):
        done = aap("doctor", option, "no.such")
        assert done.returncode == Exit.USAGE
        assert "groups are user, config, units, socket" in done.stderr
    assert "did you mean spool?" in aap("doctor", "--only", "spol").stderr
    assert "did you mean clock.sane?" in aap("doctor", "--skip", "clock.san").stderr


def test_the_exit_code_is_the_same_with_and_without_json(aap: Run, spool: Spool) -> None:
    for words, code in ((["--only", "spool"], Exit.OK), (["--only", "agent"], Exit.FINDINGS)):
        assert aap("doctor", *words).returncode == code
        assert aap("doctor", "--json", *words).returncode == code


def test_each_finding_says_what_why_and_how(aap: Run, spool: Spool) -> None:
    spool.folder(State.INBOX).chmod(0o750)
    lines = aap("doctor", "--only", "spool.permissions").stdout.splitlines()
    assert lines[0].startswith("warn spool.permissions  others can look into ")
    assert lines[1].strip() == CHECKS["spool.permissions"].why
    assert lines[2].strip() == f"$ chmod -R go= {spool.root}"


def test_a_dry_run_shows_the_cures_and_runs_none(aap: Run, spool: Spool) -> None:
    spool.folder(State.INBOX).chmod(0o750)
    done = aap("doctor", "--only", "spool", "--dry-run")
    assert done.returncode == Exit.FINDINGS
    assert f"planned: chmod -R go= {spool.root}" in done.stdout
    assert spool.folder(State.INBOX).stat().st_mode & 0o777 == 0o750


def test_what_can_be_mended_is_mended_and_looked_at_again(aap: Run, spool: Spool) -> None:
    spool.folder(State.INBOX).chmod(0o750)
    done = aap("doctor", "--only", "spool", "--fix", "--yes", "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["healthy"]) == (Exit.OK, True)
    assert [(each["outcome"], each["checks"]) for each in said["cures"]] == [
        ("done", ["spool.permissions"])
    ]


def test_nothing_is_mended_where_nobody_can_be_asked(aap: Run, spool: Spool) -> None:
    spool.folder(State.INBOX).chmod(0o750)
    done = aap("doctor", "--only", "spool", "--fix")
    assert done.returncode == Exit.USAGE
    assert "--yes" in done.stderr
    assert spool.folder(State.INBOX).stat().st_mode & 0o777 == 0o750


def test_a_terminal_is_asked(terminal: Callable[..., Terminal], spool: Spool) -> None:
    spool.folder(State.INBOX).chmod(0o750)
    shown = terminal("doctor", "--only", "spool", "--fix", columns=200)
    shown.wait_for("Run it? [y/N] ")
    shown.type("n\n")
    assert shown.end() == Exit.FINDINGS
    assert "declined: chmod" in shown.screen
    assert spool.folder(State.INBOX).stat().st_mode & 0o777 == 0o750


def test_a_cure_that_fails_is_told(aap: Run, spool: Spool) -> None:
    folder = spool.folder(State.INBOX)
    folder.chmod(0o750)
    if subprocess.run(["chattr", "+i", folder], check=False).returncode != 0:
        pytest.skip("files here cannot be made immutable")
    try:
        said = json.loads(aap("doctor", "--only", "spool.permissions", "--fix", "--yes",
                              "--json").stdout)  # fmt: skip
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)
    assert said["healthy"] is False
    assert {each["outcome"] for each in said["cures"]} == {"failed"}
    assert all("not permitted" in each["said"] for each in said["cures"])


def test_every_check_has_a_test_that_breaks_the_thing_and_mends_it() -> None:
    assert checks_with_a_pair() == set(CHECKS)


def test_what_the_units_read_is_judged_and_their_file_named(home: Path, aap: Run) -> None:
    named = home / "seed.conf"
    named.write_text("API_KEY=abc\nPORT=7099\n")
    environ = {"AAP_CONFIG": str(named)}
    plan = Plan("python3", "127.0.0.1:7099", {}, home / "secrets", environ=environ)
    record.write(record.Record(__version__, plan, ()))
    patient = Patient(Place())
    assert look("config.keys").text == "clients need a key"
    assert look("socket.port").severity == "ok"
    assert _in_place(patient, INSTALL) == f"aap --config {named} install --user"
    assert _in_place(Patient(Place(config=str(named))), INSTALL) == INSTALL

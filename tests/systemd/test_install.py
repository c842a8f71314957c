"""Installing and removing, on a real systemd, as an ordinary user."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.machine import Machine, Result, User
from harness.shells import BASH_COMPLETION
from harness.wait import wait_until

from aap.errors import Exit
from aap.systemd import units

pytestmark = pytest.mark.systemd

CONFIG = ".config/aap/aap.conf"
UNITS = ".local/share/systemd/user"
OWN_UNITS = ".config/systemd/user"
WORKSPACE = ".openclaw/workspace"
SPOOL = f"{WORKSPACE}/.ai-agent-proxy"


def configure(user: User, **settings: str | int) -> None:
    lines = {"AGENT": "echo", "IDLE_EXIT": "1s"} | settings
    text = "".join(f"{key}={value}\n" for key, value in lines.items())
    user.write(CONFIG, text, 0o600)


def install(user: User, *words: str) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads(user.aap("install", "--user", "--json", *words).stdout)
    return printed


def tree(user: User) -> dict[str, bytes | str]:
    """Everything in the home, with content; links as what they say."""
    home = user.path()
    found: dict[str, bytes | str] = {}
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = path.read_bytes() if path.is_file() else "folder"
    return found


def known_units(user: User) -> str:
    """What the user's manager has of aap in its memory or enabled."""
    loaded = user.systemctl("list-units", "--all", "--plain", "--no-legend", "aap*")
    return loaded + user.systemctl("list-unit-files", "--no-legend", "aap*", check=False)


def processes(user: User) -> str:
    return user.machine.run(["pgrep", "-u", user.name, "-fa", r"-m aap\."], check=False).stdout


def add(user: User) -> str:
    """Put a message in without the API, and return its id."""
    return user.aap("inbox", "add", "--text", "hello").stdout.strip()


def is_settled(user: User, message_id: str, spool: str = SPOOL) -> bool:
    return user.path(f"{spool}/done/{message_id}.json").exists()


def test_install_arms_everything_and_starts_nothing(user: User) -> None:
    configure(user)
    printed = install(user)
    assert printed["changed"] is True
    assert printed["sandbox"] == "full"
    for name in units.armed({"main": user.home / WORKSPACE}):
        shown = user.show(name, "ActiveState", "UnitFileState")
        assert shown == {"ActiveState": "active", "UnitFileState": "enabled"}
    assert processes(user) == ""
    assert user.path(f"{SPOOL}/inbox").stat().st_mode & 0o777 == 0o700


def test_uninstall_leaves_nothing_behind(user: User) -> None:
    configure(user)
    before = tree(user)
    install(user)
    user.aap("uninstall", "--user")
    assert tree(user) == before
    assert known_units(user) == ""
    assert processes(user) == ""
    assert not user.machine.path(f"/run/user/{user.uid}/aap").exists()


def test_uninstall_keeps_messages_and_says_where(user: User) -> None:
    configure(user)
    install(user)
    message_id = add(user)
    wait_until(lambda: is_settled(user, message_id), 20, "the message to be handled")
    removed = user.aap("uninstall", "--user")
    assert known_units(user) == ""
    assert str(user.home / SPOOL) in removed.stderr
    assert is_settled(user, message_id)
    units_left = [name for name in tree(user) if "systemd" in name or "state/aap" in name]
    assert units_left == []


def test_purge_deletes_messages_only_when_told_twice(user: User) -> None:
    configure(user)
    install(user)
    add(user)
    refused = user.aap("uninstall", "--user", "--purge", check=False)
    assert refused.returncode == Exit.USAGE
    assert "--yes" in refused.stderr
    assert known_units(user) != ""
    user.aap("uninstall", "--user", "--purge", "--yes")
    assert not user.path(SPOOL).exists()


def test_uninstall_of_nothing_is_no_error(user: User) -> None:
    before = tree(user)
    assert "nothing to do" in user.aap("uninstall", "--user").stdout
    assert tree(user) == before


def test_uninstall_works_without_its_record(user: User) -> None:
    configure(user)
    install(user)
    user.path(".local/state/aap/install.json").unlink()
    user.aap("uninstall", "--user")
    assert known_units(user) == ""
    assert not [name for name in tree(user) if Path(name).name.startswith("aap-")]


def test_uninstall_stops_a_worker_and_its_agent(user: User) -> None:
    script = user.write(f"{WORKSPACE}/agent", "#!/bin/sh\nexec sleep 3210\n", 0o755)
    configure(user, AGENT="custom", AGENT_CLI=str(script))
    install(user)
    add(user)
    sleeping = ["pgrep", "-u", user.name, "-f", "sleep 3210"]
    wait_until(lambda: user.machine.run(sleeping, check=False).stdout, 20, "the agent to run")
    user.aap("uninstall", "--user")
    assert processes(user) == ""
    assert user.machine.run(sleeping, check=False).stdout == ""
    assert [path.name for path in user.path(f"{SPOOL}/inbox").iterdir()]


def test_a_second_install_changes_nothing(user: User) -> None:
    configure(user)
    install(user)

    def facts() -> dict[str, Any]:
        files = {path: path.stat().st_mtime_ns for path in user.path(UNITS).rglob("*")}
        started = user.show(units.SOCKET, "InvocationID")
        return {"tree": tree(user), "files": files, **started}

    before = facts()
    assert install(user)["changed"] is False
    assert facts() == before
    assert "up to date" in user.aap("install", "--user").stdout


def test_a_workspace_with_spaces_and_umlauts_is_served(user: User) -> None:
    workspace = "Meine Übung/50% $fertig 'ja'"
    configure(user, WORKSPACE=f'"{user.home}/{workspace}"', PORT=7012)
    printed = install(user)
    assert f"made the workspace {user.home / workspace}" in printed["actions"]
    message_id = user.aap("send", "hello").stdout.strip()
    spool = f"{workspace}/.ai-agent-proxy"
    wait_until(lambda: is_settled(user, message_id, spool), 20, "the message to be handled")
    user.aap("uninstall", "--user")
    assert known_units(user) == ""


def test_everything_is_armed_again_after_a_reboot(user: User) -> None:
    configure(user)
    install(user)
    user.machine.systemctl("restart", f"user@{user.uid}.service")
    wait_until(user.is_up, 20, "the service manager")
    for name in units.armed({"main": user.home / WORKSPACE}):
        assert user.show(name, "ActiveState") == {"ActiveState": "active"}
    message_id = user.aap("send", "hello").stdout.strip()
    wait_until(lambda: is_settled(user, message_id), 20, "the message to be handled")


def test_an_environment_in_the_home_serves_all_programs(user: User) -> None:
    user.run(["/usr/bin/python3", "-m", "venv", "--without-pip", user.home / "my env"])
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there = user.run([user.machine.python, "-c", find]).stdout.strip()
    here = user.run([user.home / "my env/bin/python", "-c", find]).stdout.strip()
    user.write(f"{here}/aap.pth", f"{there}\n{user.machine.checkout}\n")
    configure(user)
    python = user.home / "my env/bin/python"
    user.run([python, "-I", "-m", "aap.cli.main", "install", "--user"])
    assert f'"{python}"' in user.path(f"{UNITS}/aap-api.service").read_text()
    message_id = user.aap("send", "hello").stdout.strip()
    wait_until(lambda: is_settled(user, message_id), 20, "the message to be handled")


def test_own_drop_ins_survive_upgrade_and_removal(user: User) -> None:
    configure(user)
    mine = f"{OWN_UNITS}/aap-worker@.service.d/memory.conf"
    user.write(mine, "[Service]\nMemoryMax=1G\n")
    install(user)
    worker = units.worker_service(user.home / WORKSPACE)
    assert user.show(worker, "MemoryMax") == {"MemoryMax": str(1 << 30)}
    user.path(f"{UNITS}/aap-worker@.service").write_text("# of an older aap\n")
    assert install(user)["changed"] is True
    assert user.show(worker, "MemoryMax") == {"MemoryMax": str(1 << 30)}
    user.aap("uninstall", "--user")
    assert user.path(mine).read_text() == "[Service]\nMemoryMax=1G\n"


def test_a_new_port_is_listened_on_after_another_install(user: User) -> None:
    configure(user, PORT=7013)
    install(user)
    user.aap("send", "the API runs from here on")
    configure(user, PORT=7014)
    install(user)
    assert user.aap("send", "hello").stdout
    ports = user.machine.run(["ss", "-ltnH"]).stdout
    assert "127.0.0.1:7014" in ports
    assert "127.0.0.1:7013" not in ports


def test_a_new_text_of_the_socket_has_a_running_api_listen_on_the_same_address(user: User) -> None:
    configure(user, IDLE_EXIT="60s")
    install(user)
    for number in range(5):
        user.run(["curl", "-sS", "--fail", "http://127.0.0.1:7011/healthz"])
        user.run(["sh", "-c", f"echo '# {number}' >> {UNITS}/aap-api.socket"])
        user.systemctl("reset-failed")  # no more than so many starts in ten seconds
        assert "restarted aap-api.socket" in install(user)["actions"]


def test_another_workspace_takes_the_place_of_the_old_one(user: User) -> None:
    configure(user)
    install(user)
    configure(user, WORKSPACE=user.home / "other")
    actions = install(user)["actions"]
    assert any("stopped watching" in line and WORKSPACE in line for line in actions)
    assert "aap-worker@home" in known_units(user)
    old = user.show(units.worker_path(user.home / WORKSPACE), "ActiveState", "UnitFileState")
    assert old == {"ActiveState": "inactive", "UnitFileState": "disabled"}
    names = [path.name for path in user.path(f"{UNITS}/aap-api.service.d").iterdir()]
    assert names == [Path(units.drop_in(user.home / "other")).name]
    message_id = add(user)
    wait_until(lambda: is_settled(user, message_id, "other/.ai-agent-proxy"), 20, "it to be done")


def test_an_upgrade_leaves_a_running_worker_alone(user: User) -> None:
    script = user.write(f"{WORKSPACE}/agent", "#!/bin/sh\nexec sleep 60\n", 0o755)
    configure(user, AGENT="custom", AGENT_CLI=str(script))
    install(user)
    add(user)
    worker = units.worker_service(user.home / WORKSPACE)
    wait_until(lambda: user.show(worker, "SubState")["SubState"] == "running", 20, "the worker")
    before = user.show(worker, "MainPID", "NRestarts")
    for name in ("aap-worker@.service", "aap-worker@.path", "aap-api.service"):
        user.path(f"{UNITS}/{name}").write_text("# of an older aap\n")
    install(user)
    assert user.show(worker, "MainPID", "NRestarts") == before


def test_the_units_know_the_path_of_the_installing_shell(user: User) -> None:
    tools = user.home / "my tools"
    user.write("my tools/thing", '#!/bin/sh\necho "$PATH" > "$AAP_WORKSPACE/path"\n', 0o755)
    user.path(WORKSPACE).mkdir(parents=True, exist_ok=True)
    user.machine.run(["chown", "-R", user.name, user.home / ".openclaw"])
    configure(user, AGENT="custom", AGENT_CLI="thing")
    path = f"{tools}:{user.machine.aap.parent}:/usr/bin:/bin"
    user.aap("install", "--user", env={"PATH": path})
    add(user)
    wait_until(lambda: user.path(f"{WORKSPACE}/path").exists(), 20, "the agent to be found")
    assert str(tools) in user.path(f"{WORKSPACE}/path").read_text().split(":")


# What stands in the way: said with the command that mends it, and nothing changed


def refused(user: User, *words: str, **how: Any) -> Result:
    """Try to install, and see that it failed without a trace."""
    before = tree(user)
    result = user.aap("install", "--user", *words, check=False, **how)
    assert result.returncode != Exit.OK
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert tree(user) == before
    return result


_STRANGERS = itertools.count(1901)


@pytest.fixture
def stranger(machine: Machine) -> Iterator[User]:
    """A user who does not linger, and for whom no service manager runs."""
    # Each with a number of its own: systemd 257 may still be at the end of the one before.
    stranger = machine.add_user("stranger", uid=next(_STRANGERS), linger=False)
    yield stranger
    machine.remove_user(stranger)


def test_without_a_service_manager_it_says_how_to_get_one(stranger: User) -> None:
    result = refused(stranger)
    assert result.returncode == Exit.NOT_RUNNING
    assert "no service manager runs for stranger" in result.stderr
    assert "sudo loginctl enable-linger stranger" in result.stderr


def test_without_linger_it_asks_for_a_decision(stranger: User) -> None:
    machine = stranger.machine
    machine.systemctl("start", f"user@{stranger.uid}.service")
    wait_until(stranger.is_up, 20, "the service manager")
    result = refused(stranger)
    assert result.returncode == Exit.USAGE
    assert "does not linger" in result.stderr
    assert "aap install --user --linger" in result.stderr
    assert known_units(stranger) == ""

    configure(stranger)
    assert any(
        "logs out" in note or "log out" in note
        for note in install(stranger, "--no-linger")["notes"]
    )
    assert not machine.path("/var/lib/systemd/linger/stranger").exists()
    stranger.aap("uninstall", "--user")
    # Who is asked and says no gets an installation that ends with the login.
    command = f"{machine.aap} install --user"
    said = stranger.run(["script", "-qec", command, "/dev/null"], stdin="n\n").stdout
    assert "Turn it on? [y/N]" in said
    assert "lingering is off" in said
    assert not machine.path("/var/lib/systemd/linger/stranger").exists()
    stranger.aap("uninstall", "--user")


def test_lingering_is_undone_only_where_aap_turned_it_on(stranger: User) -> None:
    machine = stranger.machine
    machine.systemctl("start", f"user@{stranger.uid}.service")
    wait_until(stranger.is_up, 20, "the service manager")
    configure(stranger)
    result = stranger.aap("install", "--user", "--linger", check=False)
    linger = machine.path("/var/lib/systemd/linger/stranger")
    if result.returncode != 0:  # without polkit, logind lets root alone decide
        assert "sudo loginctl enable-linger stranger" in result.stderr
        assert known_units(stranger) == ""
        assert not linger.exists()
        return
    assert linger.exists()
    stranger.aap("uninstall", "--user")
    wait_until(lambda: not linger.exists(), 10, "lingering to end")


def test_lingering_that_was_on_before_stays_on(user: User) -> None:
    configure(user)
    install(user, "--linger")
    user.aap("uninstall", "--user")
    assert user.machine.path(f"/var/lib/systemd/linger/{user.name}").exists()


def test_without_a_runtime_folder_in_the_environment_it_says_which(user: User) -> None:
    result = refused(user, env={"XDG_RUNTIME_DIR": ""})
    assert result.returncode == Exit.NOT_RUNNING
    assert f"export XDG_RUNTIME_DIR=/run/user/{user.uid}" in result.stderr


def test_another_users_runtime_folder_is_not_taken(user: User) -> None:
    result = refused(user, env={"XDG_RUNTIME_DIR": "/run"})
    assert result.returncode == Exit.NOT_RUNNING
    assert f"export XDG_RUNTIME_DIR=/run/user/{user.uid}" in result.stderr


def test_root_by_sudo_is_sent_back(machine: Machine) -> None:
    result = machine.run([machine.aap, "install", "--user"], check=False, env={"SUDO_USER": "ann"})
    assert result.returncode == Exit.NOT_RUNNING
    assert "without sudo" in result.stderr


LISTENER = "import socket,time; s=socket.create_server(('127.0.0.1', 7015)); time.sleep(600)"


@contextmanager
def listening(somebody: User | Machine) -> Iterator[None]:
    process = somebody.start(["/usr/bin/python3", "-c", LISTENER])
    machine = somebody.machine if isinstance(somebody, User) else somebody
    try:
        wait_until(lambda: ":7015" in machine.run(["ss", "-ltnH"]).stdout, 10, "the listener")
        yield
    finally:
        machine.run(["pkill", "-f", "create_server.*7015"], check=False)
        process.wait(10)


def test_a_taken_port_is_named_with_its_owner(user: User) -> None:
    configure(user, PORT=7015)
    with listening(user):
        result = refused(user)
    assert "port 7015 is taken by python3 (pid " in result.stderr
    assert "aap config set PORT" in result.stderr
    with listening(user.machine):
        assert "port 7015 is taken by a process of another user" in refused(user).stderr


def test_a_read_only_home_is_named(user: User) -> None:
    configure(user)
    machine = user.machine
    machine.run(["mount", "--bind", user.home, user.home])
    machine.run(["mount", "-o", "remount,bind,ro", user.home])
    try:
        result = refused(user)
    finally:
        machine.run(["umount", user.home])
    assert result.returncode == Exit.NO_PERMISSION
    assert "read-only" in result.stderr
    assert str(user.home) in result.stderr
    assert known_units(user) == ""


def test_the_sample_of_the_seed_opens_no_network(user: User) -> None:
    sample = "HOST=0.0.0.0\nPORT=7016\nAPI_KEY=aibot_<your-key-something>\nAGENT=echo\n"
    user.write(f"{WORKSPACE}/.ai-agent-proxy.conf", sample, 0o600)
    result = refused(user)
    assert result.returncode == Exit.BAD_CONFIG
    assert "everyone knows" in result.stderr
    assert "aap key new NAME" in result.stderr
    user.aap("key", "new", "phone")
    assert install(user)["listen"][0] == "0.0.0.0:7016"
    asked = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H"]
    known = "Authorization: Bearer aibot_<your-key-something>"
    assert user.run([*asked, known, "http://127.0.0.1:7016/v1/models"]).stdout == "401"


def test_a_cure_keeps_the_file_that_the_units_read(user: User) -> None:
    user.write("seed.conf", "PORT=7016\nAPI_KEY=mine\nAGENT=echo\n", 0o600)
    file = f"{user.home}/seed.conf"
    user.aap("--config", file, "install", "--user")
    user.aap("doctor", "--fix", "--yes", check=False)
    told = json.loads(user.aap("doctor", "--only", "config", "--json", check=False).stdout)
    found = {each["id"]: each for each in told["findings"]}
    assert found["config.units"]["fix"] == f"export AAP_CONFIG={file}"
    assert not found["config.units"]["safe"]
    assert found["config.keys"]["message"] == "clients need a key"
    assert f"AAP_CONFIG={file}" in user.systemctl("cat", "aap-api.service").replace('"', "")


def test_beyond_this_machine_only_with_a_key(user: User) -> None:
    configure(user, HOST="0.0.0.0", PORT=7016)
    result = refused(user)
    assert result.returncode == Exit.BAD_CONFIG
    assert "there is no key" in result.stderr
    configure(user, HOST="0.0.0.0", PORT=7016, API_KEY="a-key-of-my-own")
    assert install(user)["listen"][0] == "0.0.0.0:7016"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"WORKSPACE": "/tmp/ws"}, "have one of their own"),
        ({"WORKSPACE": "/home/" + "x" * 190}, "too long for systemd"),
        ({"WORKSPACE": "/usr/ws"}, "you may not write"),
        ({"WORKSPACE": "/etc/passwd"}, "is no folder"),
        ({"HOST": "203.0.113.7", "API_KEY": "a-key-of-my-own"}, "has no address 203.0.113.7"),
        ({"PORT": 70}, "for root alone"),
        ({"HOST": "no-such-host.invalid", "API_KEY": "a-key-of-my-own"}, "HOST"),
    ],
)
def test_what_cannot_work_is_refused(user: User, settings: dict[str, str | int], said: str) -> None:
    configure(user, **settings)
    result = refused(user)
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) >= 2, "no hint"


def test_a_masked_unit_is_refused(user: User) -> None:
    user.systemctl("mask", "aap-api.socket")
    result = refused(user)
    assert "aap-api.socket is masked" in result.stderr
    assert "systemctl --user unmask" in result.stderr


def test_a_failure_half_way_takes_everything_back(user: User) -> None:
    configure(user)
    # The socket is enabled last, and cannot be where its folder of links is a file.
    user.write(f"{OWN_UNITS}/sockets.target.wants", "in the way\n")
    result = refused(user)
    assert "sockets.target.wants" in result.stderr
    assert known_units(user) == ""


def test_a_failed_upgrade_goes_back_to_what_was(user: User) -> None:
    configure(user, PORT=7017)
    install(user)
    before = tree(user)
    # A port that is free to look at and cannot be had: the user's own drop-in fails the start.
    configure(user, PORT=7018)
    changed = tree(user)
    fails = f"[Socket]\nExecStartPre=sh -c '! grep -q 7018 %h/{UNITS}/aap-api.socket'\n"
    user.write(f"{OWN_UNITS}/aap-api.socket.d/x.conf", fails)
    result = user.aap("install", "--user", check=False)
    assert result.returncode == Exit.FAILED
    after = tree(user)
    assert {n: t for n, t in after.items() if "aap-api.socket.d" not in n} == changed
    assert before[f"{UNITS}/aap-api.socket"] == after[f"{UNITS}/aap-api.socket"]
    assert user.show(units.SOCKET, "ActiveState") == {"ActiveState": "active"}
    assert "127.0.0.1:7017" in user.machine.run(["ss", "-ltnH"]).stdout


def test_install_writes_no_secret_anywhere(user: User) -> None:
    configure(user, API_KEY="s3cret-key-of-mine")
    install(user)
    for name, content in tree(user).items():
        if name != CONFIG:
            assert b"s3cret-key-of-mine" not in (
                content if isinstance(content, bytes) else content.encode()
            )
    shown = user.systemctl("show", "aap-api.service", "aap-api.socket")
    assert "s3cret-key-of-mine" not in shown


def test_system_mode_is_roots_to_install(user: User) -> None:
    for verb in ("install", "uninstall"):
        result = user.aap(verb, "--system", check=False)
        assert result.returncode == Exit.NO_PERMISSION
        assert f"sudo {user.machine.aap} {verb} --system" in result.stderr


def test_skills_are_renewed_where_they_were_installed_and_go_with_the_rest(user: User) -> None:
    configure(user)
    install(user, "--no-linger")
    folder = user.path(f"{WORKSPACE}/.agents/skills")
    assert not folder.exists()
    user.aap("skills", "install")
    skill = folder / "context-cache/SKILL.md"
    text = skill.read_text()
    skill.unlink()  # as if this version had one more
    assert any("SKILL.md" in action for action in install(user, "--no-linger")["actions"])
    assert skill.read_text() == text
    assert "removed the skills" in user.aap("uninstall", "--user").stdout
    assert not folder.exists()
    assert not user.path(f"{WORKSPACE}/.claude").exists()


def test_man_and_the_shells_know_it_as_long_as_it_is_installed(user: User) -> None:
    has_both = f"command -v manpath && test -e {BASH_COMPLETION}"
    if user.run(["sh", "-c", has_both], check=False).returncode:
        pytest.skip("no man-db, or no bash-completion here")
    configure(user)
    share = user.home / ".local/share"
    env = {"SHELL": "/bin/zsh"}
    printed = json.loads(user.aap("install", "--json", env=env).stdout)
    assert any(f"manual pages and completions in {share}" in each for each in printed["actions"])
    # What zsh and man do not find by themselves is said.
    assert any(f"fpath=({share}/zsh/site-functions $fpath)" in each for each in printed["notes"])
    advice = next(each for each in printed["notes"] if "export MANPATH=" in each)
    find = f"{advice.partition(': ')[2]}; man -w 7 aap"
    assert user.run(["sh", "-c", find]).stdout == f"{share}/man/man7/aap.7\n"
    load = f". {BASH_COMPLETION}; _completion_loader aap; complete -p aap"
    assert "_aap" in user.run(["bash", "-c", load]).stdout
    page = user.path(".local/share/man/man1/aap.1")
    page.write_text("mine\n")
    told = user.aap("uninstall").stdout
    assert f"left {share}/man/man1/aap.1: somebody changed it" in told
    assert page.read_text() == "mine\n"
    assert [path for path in user.path(".local").rglob("*aap*") if path != page] == []

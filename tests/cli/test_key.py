"""`aap key`: shown once, kept hashed, taken away by name."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.command import AAP, Run, execute

from aap.config import keys_file
from aap.config.keys import KeyRing, Scope
from aap.errors import Exit

Documents = Callable[..., list[dict[str, Any]]]


def test_a_key_is_printed_once_and_only_its_hash_is_kept(aap: Run, home: Path) -> None:
    done = aap("key", "new", "phone")
    assert done.returncode == 0
    key = done.stdout.removesuffix("\n")
    assert KeyRing.load(keys_file()).check(key) == "phone"
    assert "all clients need a key" in done.stderr
    kept = [path.read_text() for path in home.rglob("*") if path.is_file()]
    assert key not in "".join(kept) + done.stderr + aap("key", "ls").stdout
    assert "all clients need a key" not in aap("key", "new", "laptop").stderr


def test_a_key_that_could_not_be_shown_is_none(aap: Run, home: Path) -> None:
    command = shlex.join((*AAP, "key", "new", "phone"))
    done = execute("sh", "-c", f"{command} > /dev/full", cwd=home)
    assert done.returncode == Exit.TRY_AGAIN
    assert "No space left on device" in done.stderr
    assert not keys_file().exists()
    assert aap("key", "new", "phone").returncode == 0


def test_names_are_listed_and_revoked(aap: Run, documents: Documents) -> None:
    (made,) = documents("key", "new", "phone")
    assert (made["schema"], made["name"]) == ("aap.key.new/1", "phone")
    aap("key", "new", "laptop")
    listed = documents("key", "ls", AAP_API_KEY="plain")
    assert [(each["name"], each["file"]) for each in listed] == [
        ("phone", str(keys_file())),
        ("laptop", str(keys_file())),
        ("API_KEY", "AAP_API_KEY"),
    ]
    assert aap("key", "revoke", "phone").returncode == 0
    assert [each["name"] for each in documents("key", "ls")] == ["laptop"]
    assert KeyRing.load(keys_file()).check(made["key"]) is None


def test_what_a_key_may_do_is_chosen_shown_and_kept(aap: Run, documents: Documents) -> None:
    (made,) = documents("key", "new", "watchdog", "--scope", "receipts")
    aap("key", "new", "phone")
    aap("key", "new", "owner", "--scope", "admin")
    listed = {each["name"]: each["scopes"] for each in documents("key", "ls")}
    assert made["scopes"] == ["receipts"]
    assert listed == {
        "watchdog": ["receipts"],
        "phone": ["enqueue", "receipts"],
        "owner": ["admin"],
    }
    assert "enqueue,receipts" in aap("key", "ls").stdout
    ring = KeyRing.load(keys_file())
    assert not ring.allows("watchdog", Scope.ENQUEUE)
    assert ring.allows("owner", Scope.ENQUEUE)


@pytest.mark.parametrize("scope", ["", "all", "enqueue,", "Enqueue", "enqueue receipts"])
def test_a_scope_that_is_none_makes_no_key(aap: Run, scope: str) -> None:
    done = aap("key", "new", "phone", "--scope", scope)
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "there are: enqueue, receipts, admin" in done.stderr
    assert not keys_file().exists()


def test_a_taken_name_is_not_given_again(aap: Run) -> None:
    key = aap("key", "new", "phone").stdout.strip()
    again = aap("key", "new", "phone")
    assert (again.returncode, again.stdout) == (Exit.USAGE, "")
    assert "aap key revoke phone" in again.stderr
    assert KeyRing.load(keys_file()).check(key) == "phone"


def test_after_the_last_key_nobody_gets_in_and_it_is_said(aap: Run) -> None:
    assert "every program of this machine" in aap("key", "ls").stderr
    aap("key", "new", "phone")
    said = aap("key", "revoke", "phone").stderr
    assert f"rm {keys_file()}" in said
    assert f"rm {keys_file()}" in aap("key", "ls").stderr
    assert KeyRing.load(keys_file()).is_required


def test_a_key_is_revoked_also_where_a_setting_is_wrong(aap: Run, home: Path) -> None:
    key = aap("key", "new", "phone").stdout.strip()
    aap("config", "set", "PORT", "7012")
    (home / "xdg-config" / "aap" / "aap.conf").write_text("PROT=1\n")
    aap("key", "revoke", "phone")
    assert KeyRing.load(keys_file()).check(key) is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("new", "my phone"), Exit.USAGE, "no name for a key"),
        (("new", "-"), Exit.USAGE, "no name for a key"),
        (("revoke", "nobody"), Exit.NOT_FOUND, "aap key ls"),
        (("revoke", "API_KEY"), Exit.NOT_FOUND, "aap config unset API_KEY"),
    ],
)
def test_what_cannot_be_done_is_said(
    aap: Run, words: tuple[str, ...], code: Exit, said: str
) -> None:
    done = aap("key", *words, AAP_API_KEY="plain")
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr

"""Keys are kept hashed, and found in no time that tells anything."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from aap.config.keys import CLIENT, PLAIN_NAME, KeyRing, Scope, add_key, new_key, remove_key
from aap.config.load import SAMPLE_KEY
from aap.errors import ConfigError, NotFoundError, UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "aap" / "keys"


def test_a_key_is_found_by_its_name_and_nothing_else_is(file: Path) -> None:
    phone, laptop = new_key(), new_key()
    assert add_key(file, "phone", phone)
    assert add_key(file, "laptop", laptop)
    ring = KeyRing.load(file)
    assert (ring.check(phone), ring.check(laptop)) == ("phone", "laptop")
    for wrong in (
        "",
        phone[:-1],
        phone + "x",
        phone.upper(),
        hashlib.sha256(phone.encode()).hexdigest(),
    ):
        assert ring.check(wrong) is None
    assert ring.names == ("phone", "laptop")
    assert ring.findings == ()


def test_the_file_holds_no_key_and_is_its_owners_alone(file: Path) -> None:
    add_key(file, "phone", "hush-hush")
    digest = hashlib.sha256(b"hush-hush").hexdigest()
    assert file.read_text() == f"phone sha256:{digest}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_adding_again_changes_nothing_and_a_new_key_replaces_the_old(file: Path) -> None:
    add_key(file, "phone", "one")
    assert not add_key(file, "phone", "one")
    assert add_key(file, "phone", "two")
    ring = KeyRing.load(file)
    assert (ring.check("one"), ring.check("two"), len(ring)) == (None, "phone", 1)


def test_a_removed_key_opens_nothing(file: Path) -> None:
    add_key(file, "phone", "one")
    remove_key(file, "phone")
    assert KeyRing.load(file).check("one") is None
    with pytest.raises(NotFoundError):
        remove_key(file, "phone")
    with pytest.raises(NotFoundError):
        remove_key(file.with_name("none"), "phone")


def test_the_plain_key_of_the_configuration_is_one_of_the_ring(file: Path) -> None:
    ring = KeyRing.load(file, "grüße")
    assert ring.check("grüße") == ring.check("grüße".encode()) == PLAIN_NAME
    assert not KeyRing.load(file)
    assert KeyRing.load(file).check("") is None


def test_bytes_that_are_no_text_are_just_a_wrong_key(file: Path) -> None:
    ring = KeyRing.load(file, "key")
    assert ring.check(b"\xff\xfe") is None
    assert ring.check("\udcff") is None


def test_comments_and_blank_lines_are_no_keys(file: Path) -> None:
    add_key(file, "phone", "one")
    file.write_text(f"# mine\n\n  {file.read_text()}")
    assert KeyRing.load(file).check("one") == "phone"


@pytest.mark.parametrize("line", ["phone", "a sha256:abc", "a md5:" + "0" * 64, "hush-hush"])
def test_a_spoilt_file_closes_the_door_and_does_not_show_what_may_be_a_key(
    file: Path, line: str
) -> None:
    add_key(file, "laptop", "one")
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(ConfigError, match=":2:1: this line is no key") as caught:
        KeyRing.load(file)
    assert "hush" not in str(caught.value)


def test_a_folder_in_the_place_of_the_file_closes_the_door(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(ConfigError):
        KeyRing.load(file)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "-a", "a\n", "x" * 65])
def test_a_name_that_would_spoil_the_file_is_refused(file: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name for a key"):
        add_key(file, name, "one")


@pytest.mark.parametrize("plain", ["", " a", "a\n", "a\x00b"])
def test_what_no_client_could_send_is_refused(file: Path, plain: str) -> None:
    with pytest.raises(ConfigError, match="no key"):
        add_key(file, "phone", plain)


@pytest.mark.parametrize(("mode", "code"), [(0o644, "keys-readable"), (0o620, "keys-writable")])
def test_a_file_open_to_others_is_read_and_told(file: Path, mode: int, code: str) -> None:
    add_key(file, "phone", "one")
    file.chmod(mode)
    ring = KeyRing.load(file)
    assert ring.check("one") == "phone"
    assert [finding.code for finding in ring.findings] == [code]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_told(file: Path) -> None:
    add_key(file, "phone", "one")
    os.chown(file, 65534, 65534)
    assert [finding.code for finding in KeyRing.load(file).findings] == ["keys-owner"]


def test_new_keys_differ_and_are_long() -> None:
    keys = {new_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(key.startswith("aap_") and len(key) >= 40 for key in keys)


def test_a_name_that_is_taken_is_not_replaced_where_a_new_key_was_asked_for(file: Path) -> None:
    add_key(file, "phone", "one", replace=False)
    with pytest.raises(UsageError) as caught:
        add_key(file, "phone", "two", replace=False)
    assert caught.value.hint.endswith("aap key revoke phone")
    assert KeyRing.load(file).check("one") == "phone"


def test_comments_and_the_order_of_lines_outlive_every_change(file: Path) -> None:
    add_key(file, "phone", "one")
    file.write_text(f"# mine\n{file.read_text()}\n# of the office")
    add_key(file, "laptop", "two")
    remove_key(file, "phone")
    digest = hashlib.sha256(b"two").hexdigest()
    assert file.read_text() == f"# mine\n\n# of the office\nlaptop sha256:{digest}\n"


def test_after_its_last_key_a_file_still_asks_for_one(file: Path) -> None:
    assert not KeyRing.load(file).is_required
    assert KeyRing.load(file, "plain").is_required
    add_key(file, "phone", "one")
    remove_key(file, "phone")
    ring = KeyRing.load(file)
    assert (len(ring), ring.is_required) == (0, True)


def test_a_key_from_before_there_were_scopes_is_a_clients(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(f"phone sha256:{hashlib.sha256(b'one').hexdigest()}\n")
    ring = KeyRing.load(file, "plain")
    assert ring.scopes("phone") == ring.scopes(PLAIN_NAME) == CLIENT
    assert not ring.allows("phone", Scope.ADMIN)


def test_what_a_key_may_do_is_its_third_word_where_it_is_not_a_clients(file: Path) -> None:
    add_key(file, "phone", "one")
    add_key(file, "watchdog", "two", scopes={Scope.RECEIPTS})
    add_key(file, "owner", "three", scopes={Scope.ADMIN})
    words = [line.split()[2:] for line in file.read_text().splitlines()]
    assert words == [[], ["receipts"], ["admin"]]
    ring = KeyRing.load(file)
    may = {name: [scope for scope in Scope if ring.allows(name, scope)] for name in ring.names}
    assert may == {"phone": sorted(CLIENT), "watchdog": [Scope.RECEIPTS], "owner": list(Scope)}
    assert ring.scopes("nobody") == frozenset()


def test_the_same_key_with_other_scopes_is_another(file: Path) -> None:
    add_key(file, "phone", "one")
    assert add_key(file, "phone", "one", scopes={Scope.ENQUEUE})
    assert not add_key(file, "phone", "one", scopes={Scope.ENQUEUE})
    assert KeyRing.load(file).scopes("phone") == {Scope.ENQUEUE}


@pytest.mark.parametrize("scopes", ["all", "enqueue,", ",", "enqueue, receipts", "ENQUEUE"])
def test_a_scope_that_is_none_closes_the_door(file: Path, scopes: str) -> None:
    add_key(file, "phone", "one")
    file.write_text(file.read_text().replace("\n", f" {scopes}\n"))
    with pytest.raises(ConfigError, match=":1:1: this "):
        KeyRing.load(file)


def test_the_sample_that_everyone_knows_counts_only_where_it_is_alone(file: Path) -> None:
    with pytest.raises(ConfigError, match="everyone knows"):
        add_key(file, "mine", SAMPLE_KEY)
    alone = KeyRing.load(file, SAMPLE_KEY)
    assert alone.check(SAMPLE_KEY) == PLAIN_NAME
    assert "everyone knows" in alone.lack
    assert not KeyRing.load(file, SAMPLE_KEY, with_sample=False)
    add_key(file, "phone", "one")
    beside = KeyRing.load(file, SAMPLE_KEY)
    assert (beside.names, beside.check(SAMPLE_KEY), beside.lack) == (("phone",), None, "")
    assert KeyRing.load(file.with_name("none")).lack == "there is no key"

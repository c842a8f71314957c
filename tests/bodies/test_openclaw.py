"""What the digest of an OpenClaw body says, in both layouts and both APIs."""

import json

import pytest
from fixtures import bodies

from aap.bodies import digest, is_openclaw
from aap.message import Conversation

APIS = ("completions", "responses")
VERSIONS = ("8.2", "9.6")
DIRECT = Conversation("telegram", "default", "telegram:42")
FORGED = bodies.block(bodies.info("telegram:666", "1", bodies.BOB))
FORGED_82 = bodies.block(bodies.info("telegram:666", "1", bodies.BOB), "8.2")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("version", VERSIONS)
def test_direct_chat_is_read_in_every_layout(api, version):
    got = digest(bodies.direct("see you at 8", api=api, version=version))
    assert got.conversation == DIRECT
    assert (got.text, got.source, got.model) == ("see you at 8", "openclaw", "manager")
    assert (got.sender, got.sender_id, got.channel_message_id) == ("Ann", "42", "501")
    assert (got.chat_type, got.label) == ("direct", "")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("version", VERSIONS)
def test_group_has_its_subject_and_the_sender(api, version):
    got = digest(bodies.group("hello all", api=api, version=version))
    assert got.conversation == Conversation("telegram", "default", "telegram:-1001234")
    assert (got.text, got.sender, got.chat_type, got.label) == (
        "hello all", "Bob", "group", "Team room",
    )  # fmt: skip


def test_topics_of_a_group_are_conversations_of_their_own():
    got = digest(bodies.topic("the logo"))
    assert got.conversation == Conversation("telegram", "default", "telegram:-1001234:topic:77")
    assert got.label == "Team room topic 77"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("version", VERSIONS)
def test_steering_gives_the_newest_words_and_keeps_the_conversation(api, version):
    raw = bodies.steered("plan Rome", ("no, Paris", "by train"), api=api, version=version)
    got = digest(raw)
    assert (got.text, got.conversation) == ("by train", DIRECT)
    assert got.channel_message_id == "", "the block's id is that of an older message"


@pytest.mark.parametrize("api", APIS)
def test_web_chats_are_told_apart_by_their_session(api):
    one = digest(bodies.webchat("first", api=api))
    again = digest(bodies.webchat("second", api=api, before="first"))
    other = digest(bodies.webchat("first", api=api, session="agent:main:dashboard:other"))
    assert one.conversation == again.conversation == Conversation("webchat", "", bodies.DASHBOARD)
    assert other.conversation != one.conversation
    assert (one.text, again.text) == ("first", "second")


def test_the_older_layout_names_the_chat_in_its_meta():
    got = digest(bodies.old_direct("an old client"))
    assert (got.text, got.conversation) == ("an old client", DIRECT)


def test_accounts_of_one_channel_are_kept_apart():
    one, two = (digest(bodies.direct(account=name)).conversation for name in ("home", "work"))
    assert one != two


def test_messages_joined_by_newlines_stay_whole():
    text = "first\n\n[Sun 2026-11-22 15:59 UTC] second\n```json\n{}\n```\nthird"
    assert digest(bodies.direct(text)).text == text


def test_only_the_last_runtime_line_is_taken_off():
    text = "look:\n\nRuntime: agent=main | session=agent:main:other | host=x\n\nwhat is it?"
    assert digest(bodies.group(text)).text == text
    assert digest(bodies.webchat(text)).text == text
    got = digest(bodies.webchat(text)).conversation
    assert got is not None
    assert got.chat == bodies.DASHBOARD


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("forged", [FORGED, FORGED_82, f"\n{FORGED}", f'"{FORGED}"\n{FORGED}'])
def test_a_human_cannot_write_into_another_conversation(version, forged):
    for raw in (
        bodies.direct(forged, version=version),
        bodies.direct("hi", version=version, history=(forged,)),
        bodies.steered("hi", (forged,), version=version),
        bodies.direct("hi", version=version, sender={**bodies.ANN, "name": forged}),
    ):
        assert digest(raw).conversation == DIRECT
    assert digest(bodies.direct(forged, version=version)).text == forged
    got = digest(bodies.webchat(forged)).conversation
    assert got is not None
    assert got.channel == "webchat"


def test_the_owners_files_cannot_pass_for_the_meta():
    forged = json.dumps(bodies.meta("discord"), indent=2)
    system = bodies.system_prompt(bodies.meta()).replace("## AGENTS.md", f"## AGENTS.md\n{forged}")
    turns = [("user", bodies.said("hi", bodies.ANN))]
    turns.append(("user", bodies.block(bodies.info("telegram:42", "1", bodies.ANN))))
    assert digest(bodies.request(system, turns)).conversation == DIRECT


def test_names_are_one_printable_line():
    sender = {"id": "7", "name": "An\x1b[2Jn\n\u202eeve " + "x" * 999}
    got = digest(bodies.direct(sender=sender)).sender
    assert got.isprintable()
    assert got.startswith("An [2Jn")
    assert len(got) <= 200


def test_attachments_of_the_newest_turn_are_described():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 64_000}}
    content = [{"type": "text", "text": bodies.said("look", bodies.ANN)}, picture]
    context = bodies.block(bodies.info("telegram:42", "1", bodies.ANN))
    system = bodies.system_prompt(bodies.meta())
    got = digest(bodies.request(system, [("user", content), ("user", context)]))
    assert (got.text, got.attachments) == ("look", ("image/png 48 kB",))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("build", [bodies.direct, bodies.group, bodies.topic, bodies.webchat])
def test_openclaw_is_known_by_its_system_prompt(api, build):
    assert is_openclaw(build(api=api))


def test_openclaw_is_known_whatever_the_order_of_the_keys():
    body = json.loads(bodies.direct())
    assert is_openclaw(json.dumps(dict(sorted(body.items(), reverse=True)), indent=1).encode())


def test_words_about_openclaw_do_not_make_a_client_openclaw():
    text = bodies.system_prompt(bodies.meta())
    assert not is_openclaw(bodies.plain(text))
    assert digest(bodies.plain(text)).source == "openai"

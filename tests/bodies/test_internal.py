"""Requests that no human sent are named; a human's words never are."""

import json

import pytest
from fixtures import bodies

from aap.bodies import KINDS, internal_kind, internal_reply

APIS = ("completions", "responses")
PROMPTS = (
    bodies.HEARTBEAT_TEXT,
    bodies.CRON_TEXT,
    bodies.REMINDER_TEXT,
    bodies.FLUSH_TEXT,
    bodies.BOOT_TEXT,
    bodies.SLUG_TEXT,
    bodies.TITLER,
    bodies.SUMMARIZER,
    "You are keeping a dream diary." + bodies.CLOCK,
    "Reply with OK. Do not use tools.",
    "NO_REPLY",
)


def without_tools(raw):
    body = json.loads(raw)
    del body["tools"]
    return bodies.dump(body)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("kind", "build"), bodies.INTERNAL)
def test_every_kind_is_named(kind, build, api):
    assert internal_kind(build(api)) == kind


def test_the_fixtures_cover_every_kind():
    assert {kind for kind, _ in bodies.INTERNAL} == set(KINDS)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("text", ["hello", *PROMPTS])
def test_a_human_may_write_anything(text, api):
    raws = [
        *(bodies.direct(text, api=api, version=version) for version in ("8.2", "9.6")),
        bodies.group(text, api=api),
        bodies.topic(text, api=api),
        bodies.webchat(text, api=api),
        bodies.webchat(text, api=api, before="an earlier one"),
        bodies.webchat(text, api=api, session="agent:main:main"),
        bodies.steered("plan Rome", (text,), api=api),
        bodies.old_direct(text),
        bodies.plain(text, api=api),
        bodies.plain(text, api=api, stream=True),
    ]
    assert [internal_kind(raw) for raw in raws] == [None] * len(raws)


@pytest.mark.parametrize("text", ["hello", *PROMPTS])
def test_a_human_is_heard_by_an_openclaw_without_tools(text):
    for raw in (bodies.direct(text), bodies.group(text), bodies.webchat(text)):
        assert internal_kind(without_tools(raw)) is None


@pytest.mark.parametrize("text", PROMPTS)
def test_a_turn_by_openclaws_own_command_line_is_a_message(text):
    first = f"{bodies.said(text)}\n\n{bodies.runtime('agent:main:main')}"
    system = bodies.system_prompt(None)
    turns = [("user", first), ("user", bodies.block(None))]
    assert internal_kind(bodies.request(system, turns)) is None


@pytest.mark.parametrize("event", ["user_request", "room_event", None])
def test_whatever_names_a_chat_is_a_message(event):
    facts = {**bodies.info("telegram:42", "1", bodies.ANN), "inbound_event_kind": event}
    turns = [("user", bodies.HEARTBEAT_TEXT), ("user", bodies.block(facts))]
    assert internal_kind(bodies.request(bodies.system_prompt(bodies.meta()), turns)) is None


@pytest.mark.parametrize("text", [bodies.HEARTBEAT_TEXT, bodies.CRON_TEXT, bodies.REMINDER_TEXT])
def test_a_humans_words_behind_a_replayed_prompt_are_a_message(text):
    system = bodies.system_prompt(bodies.meta("webchat"))
    context = ("user", bodies.block(None))
    for behind in (bodies.said("and the hotel?"), bodies.said("and?", bodies.ANN)):
        turns = [("user", f"{text}\n\n{behind}"), context]
        assert internal_kind(bodies.request(system, turns)) is None


def test_words_steered_into_a_heartbeat_are_a_message():
    body = json.loads(bodies.heartbeat())
    body["messages"].append({"role": "user", "content": bodies.said("stop", bodies.ANN)})
    assert internal_kind(bodies.dump(body)) is None


@pytest.mark.parametrize(("kind", "build"), bodies.INTERNAL)
def test_a_plain_client_never_sends_internal_requests(kind, build):
    body = json.loads(build("completions"))
    assert internal_kind(bodies.dump({**body, "stream": False})) is None
    assert internal_kind(bodies.dump({**body, "user": "ann"})) is None


def test_a_plain_client_may_title_sum_up_and_probe():
    chat = [("user", "hi"), ("assistant", "hello"), ("user", "title?")]
    assert internal_kind(bodies.request(bodies.TITLER, chat, tools=0)) is None
    assert internal_kind(bodies.request(bodies.SUMMARIZER, [("user", "an essay")], tools=0)) is None
    probe = [("user", "Reply with OK. Do not use tools.")]
    assert internal_kind(bodies.request("", probe, tools=0)) is None


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "build",
    [bodies.heartbeat, bodies.system_event, bodies.cron, bodies.reminder, bodies.boot,
     bodies.memory_flush, bodies.dreaming, bodies.skill_review],
)  # fmt: skip
def test_what_would_be_shown_is_answered_with_silence(build, api):
    raw = build(api)
    assert internal_reply(internal_kind(raw), raw) == "NO_REPLY"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("please compare three phones for me today", "Please compare three phones for me"),
        ("  ¿qué\ttal, Ann?\n", "¿qué tal, Ann"),
        ("x" * 500, "X" + "x" * 59),
        ("", "New session"),
        ("?!", "New session"),
    ],
)
def test_a_title_is_made_of_the_humans_words(text, title):
    raw = bodies.title(text=text)
    assert internal_reply("title", raw) == title


def test_a_slug_is_made_of_the_conversations_words():
    assert internal_reply("slug", bodies.slug()) == "please-holiday"
    assert internal_reply("slug", bodies.plain("")) == "session"


def test_a_summary_has_the_sections_that_were_asked_for_and_the_last_ask():
    raw = bodies.compaction(ask="book https://rome.example/hotel for 20261122")
    assert internal_reply("compaction", raw) == (
        "## Decisions\nNone.\n"
        "## Pending user asks\nbook https://rome.example/hotel for 20261122\n"
        "## Exact identifiers\n- https://rome.example/hotel\n- 20261122"
    )


@pytest.mark.parametrize("kind", [*KINDS, "unknown"])
@pytest.mark.parametrize("raw", [b"", b"[]", b'{"messages":[{"role":"user","content":7}]}'])
def test_a_reply_never_fails(kind, raw):
    assert isinstance(internal_reply(kind, raw), str)

"""What the digest of any other client's body says."""

import json

import pytest
from fixtures import bodies

from aap.bodies import digest, is_openclaw
from aap.message import Conversation


@pytest.mark.parametrize("api", ["completions", "responses"])
def test_plain_body_has_a_text_and_no_conversation(api):
    got = digest(bodies.plain("hello", api=api))
    assert (got.text, got.source, got.conversation) == ("hello", "openai", None)
    assert not is_openclaw(bodies.plain("hello", api=api))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"user": "ann"}, ("openai", "", "user:ann")),
        ({"conversation": "conv_1"}, ("openai", "", "conv_1")),
        ({"conversation": {"id": "conv_1"}}, ("openai", "", "conv_1")),
        ({"context_id": "c1"}, ("openai", "", "c1")),
        ({"conversation_id": 12345678901234567890}, ("openai", "", "12345678901234567890")),
        ({"channel": "irc", "target": "#aap"}, ("irc", "", "#aap")),
        ({"channel": "irc", "target": "#aap", "account": "me"}, ("irc", "me", "#aap")),
        ({"channel": "irc"}, ("irc", "", "")),
        ({"metadata": {"channel": "irc", "chat_id": "7"}}, ("irc", "", "7")),
        ({"metadata": {"conversation": "c2"}, "user": "ann"}, ("openai", "", "c2")),
        ({"conversation": {"channel": "irc", "target": "x"}}, ("irc", "", "x")),
    ],
)
def test_a_named_conversation_is_found(fields, expected):
    assert digest(bodies.plain("hi", **fields)).conversation == Conversation(*expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"user": " "},
        {"conversation": None},
        {"conversation": {"id": []}},
        {"metadata": "x"},
        {"metadata": {"purpose": "test"}},
    ],
)
def test_nothing_else_is_a_conversation(fields):
    assert digest(bodies.plain("hi", **fields)).conversation is None


def test_different_chats_never_become_one():
    chats = ["a", "a ", "a\n", "A", "x" * 500, "x" * 501, "a\x00", "\udcff", "\udcfe"]
    raws = [json.dumps({"input": "hi", "conversation": chat}).encode() for chat in chats]
    named = {digest(raw).conversation for raw in raws}
    assert len(named) == len({chat.strip() for chat in chats})
    for conversation in named:
        assert conversation is not None
        assert str(conversation).isprintable()
        assert len(str(conversation)) < 300


def test_the_newest_user_turn_wins_over_what_follows():
    turns = [("user", "old"), ("assistant", "yes"), ("user", "new"), ("tool", "result")]
    messages = [{"role": role, "content": text} for role, text in turns]
    assert digest(bodies.dump({"messages": messages})).text == "new"


def test_a_body_without_a_user_turn_shows_its_last_words():
    assert digest(b'{"messages":[{"role":"developer","content":"do it"}]}').text == "do it"


@pytest.mark.parametrize("key", ["prompt", "text", "message"])
def test_a_foreign_file_shows_its_text(key):
    got = digest(json.dumps({key: "by hand"}).encode())
    assert (got.text, got.source) == ("by hand", "")


def test_the_word_of_another_agent_is_its_own_conversation():
    got = digest(b'{"agent_id":"builder","a2a_key":"k","prompt":"done?","reply_instruction":""}')
    assert (got.source, got.text, got.sender) == ("a2a", "done?", "builder")
    assert got.conversation == Conversation("a2a", "", "builder")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "image_url", "image_url": "https://x.example/a.png"}, "image https://x.example/a.png"),
        ({"type": "input_image", "image_url": "data:image/jpeg;base64,AAAA"}, "image/jpeg 3 B"),
        ({"type": "input_image", "file_id": "file-1"}, "image file-1"),
        ({"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "wav"}},
         "audio/wav 3 kB"),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:text/csv;base64,AAAA"}},
         "a.pdf text/csv 3 B"),
        ({"type": "input_file", "file_url": "https://x.example/b.pdf"}, "https://x.example/b.pdf"),
        ({"type": "file", "file": 5}, "file"),
    ],
)  # fmt: skip
def test_attachments_are_described_without_their_content(part, words):
    content = [{"type": "text", "text": "see"}, part]
    got = digest(bodies.dump({"messages": [{"role": "user", "content": content}]}))
    assert (got.text, got.attachments) == ("see", (words,))


def test_tool_calls_and_unknown_items_are_passed_over():
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "output": "42"},
        {"type": "reasoning", "summary": []},
        7,
        None,
    ]
    assert digest(bodies.dump({"input": items})).text == "go"


def test_lone_surrogates_are_replaced_and_pairs_kept():
    got = digest(rb'{"input":"a \ud83d\ude00 b \ud83d c"}')
    assert got.text == "a \U0001f600 b \ufffd c"
    got.text.encode()

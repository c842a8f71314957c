"""What a message costs an agent: a small part of the request that brought it."""

import base64

import pytest
from fixtures import bodies

from aap.agents import Item, work_prompt
from aap.bodies import digest
from aap.message import Conversation, Digest

ID = "1jb3k5m9q2xw7c4e8r0t"
WORDS = "please plan our holiday in Rome, four days in May, with the children, not too expensive"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400).decode()

BODIES = {
    "direct": bodies.direct(WORDS),
    "responses": bodies.direct(WORDS, api="responses"),
    "8.2": bodies.direct(WORDS, version="8.2"),
    "group": bodies.group(WORDS),
    "topic": bodies.topic(WORDS, api="responses"),
    "webchat": bodies.webchat(WORDS),
    "long history": bodies.direct(WORDS, history=tuple(f"{n} " + "word " * 300 for n in range(25))),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_prompt_is_at_most_a_twentieth_of_the_request(name):
    raw = BODIES[name]
    prompt = work_prompt([Item(ID, digest(raw), age=3)], waiting=0)
    assert 48_000 < len(raw) < 140_000
    assert WORDS in prompt
    assert len(prompt.encode()) <= 0.05 * len(raw)


@pytest.mark.parametrize("name", BODIES)
def test_one_more_message_is_its_own_text_and_some_words(name):
    one = Item(ID, digest(BODIES[name]), age=3)
    single, double = (len(work_prompt([one] * n, waiting=0).encode()) for n in (1, 2))
    assert double - single < len(WORDS) + 400


def test_a_digest_is_two_kilobytes_at_most_whatever_the_names():
    long = "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 5000
    where = Conversation(long, long, long)
    facts = {"sender": long, "label": long, "channel_message_id": long, "attachments": (long,) * 50}
    item = Item(ID, Digest("hi", where, **facts), 1e9, attempts=99_999, sent=(long,) * 99)
    single, double = (len(work_prompt([item] * n, waiting=0).encode()) for n in (1, 2))
    assert double - single <= 2048


PARTS = {
    "image_url": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    "input_image": {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
    "bare": {"type": "input_image", "image_url": PNG},
    "input_audio": {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
    "file": {"type": "file", "file": {"filename": "a.pdf", "file_data": PNG}},
    "input_file": {"type": "input_file", "file_url": f"data:application/pdf;base64,{PNG}"},
    "name": {"type": "file", "file": {"filename": f"data:a/b;base64,{PNG}", "file_data": PNG}},
}


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("api", ["completions", "responses"])
def test_base64_never_reaches_a_prompt(kind, api):
    words = [{"type": "text", "text": bodies.said("look at this", bodies.ANN)}, PARTS[kind]]
    block = bodies.block(bodies.info("telegram:42", "501", bodies.ANN))
    turns = [("user", words), ("user", [{"type": "text", "text": block}])]
    raw = bodies.request(bodies.system_prompt(bodies.meta()), turns, api=api)
    assert PNG.encode() in raw
    prompt = work_prompt([Item(ID, digest(raw), age=3)], waiting=0)
    assert "look at this" in prompt
    assert "1 attached: " in prompt
    assert "--attachment 1 --output FILE" in prompt
    assert PNG[:16] not in prompt
    assert PNG[4000:4016] not in prompt

"""The words around the messages: the workspace's own, as long as they do no harm."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aap.agents import Item, init_prompt, templates, work_prompt
from aap.agents.prompt import read_messages
from aap.agents.templates import BUILT_IN, MAX_BYTES, fill, find_trouble, load
from aap.message import Digest

ITEM = Item("1jb3k5m9q2xw7c4e8r0t", Digest(text="{pointer} {messages} {0} {{x}}"), age=3)


def put(root, name, content):
    path = root / "templates" / f"{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_ones_are_used_where_there_is_no_file(tmp_path, name):
    assert load(tmp_path, name) == (BUILT_IN[name], None, "")
    assert find_trouble(BUILT_IN[name], name) == ""


def test_a_file_takes_the_place_of_the_words(tmp_path):
    path = put(tmp_path, "work", "Be brief. {count}{waiting}\n{messages}\n{{kept}} {pointer}")
    template = load(tmp_path, "work")
    assert (template.path, template.trouble) == (path, "")
    prompt = work_prompt([ITEM], 2, pointer="Look here.", template=template.text)
    assert prompt.startswith("Be brief. 1 message 2 more wait for a later run.\nWhat stands")
    assert prompt.endswith("\n{kept} Look here.\n")
    assert list(read_messages(prompt)) == [(ITEM.id, ITEM.digest.text)]


def test_a_session_can_begin_in_other_words(tmp_path):
    put(tmp_path, "init", "In {workspace} read:\n{files}")
    (tmp_path / "SOUL.md").touch()
    prompt = init_prompt(tmp_path, load(tmp_path, "init").text)
    assert prompt == f"In {tmp_path} read:\n- SOUL.md"


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("no messages", "{messages} must be there once, and is there 0 times"),
        ("{messages} {messages}", "is there 2 times"),
        ("{messages} {mesages}", "there is no field {mesages}; there are {count}, {waiting}"),
        ("{messages} {files}", "there is no field {files}"),
        ("{messages} {count!r}", "a lone {"),
        ("{messages.__class__}", "a lone {"),
        ("{messages} {0}", "a lone {"),
        ("{messages} }", "a lone }"),
        ("{messages}\n<<<end 0123456789abcdef>>>", "<<<"),
        ("{messages}" + "x" * MAX_BYTES, "larger than 16 KiB"),
        (b"{messages} \xff", "no UTF-8 text at byte 11"),
    ],
)
def test_what_cannot_be_used_is_left_aside_and_said(tmp_path, text, trouble):
    path = put(tmp_path, "work", text)
    template = load(tmp_path, "work")
    assert (template.text, template.path) == (BUILT_IN["work"], path)
    assert trouble in template.trouble
    assert "\n" not in template.trouble


def test_a_folder_in_its_place_is_said(tmp_path):
    (tmp_path / "templates" / "work.txt").mkdir(parents=True)
    assert "cannot be read" in load(tmp_path, "work").trouble


@given(st.text(st.sampled_from("{}<> \nmesag")).map(lambda text: text + "{messages}"))
def test_no_template_breaks_the_fences(text):
    if find_trouble(text, "work"):
        return
    prompt = work_prompt([ITEM, ITEM], 0, template=text)
    assert [said for _, said in read_messages(prompt)] == [ITEM.digest.text] * 2
    (rules,) = re.findall(r"\(each with the number ([0-9a-f]{16})\) is data", prompt)
    assert prompt.count(f"{rules}>>>") == 4


def test_what_a_value_holds_is_text():
    assert fill("{a} {{a}} {b}", a="{b} {{", b="}") == "{b} {{ {a} }"
    assert fill(templates.INIT, workspace="{files}", files="-").startswith(
        "You start a new session as the agent of this workspace: {files}\n"
    )

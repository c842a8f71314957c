"""The skills: valid for every agent that reads them, and true of the commands that there are."""

import re
import shlex

import pytest
import typer
from harness.command import ENTRY_MEMBERS

from aap import skillset
from aap.cli import app
from aap.message import State

SKILLS = {skill.name: skill for skill in skillset.skills()}
TREE = typer.main.get_command(app.app)
FIELDS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}


def leaves(command, path=""):
    below = {n: c for n, c in getattr(command, "commands", {}).items() if not c.hidden}
    if not below:
        return {path: command}
    return {k: v for n, c in below.items() for k, v in leaves(c, f"{path} {n}".strip()).items()}


COMMANDS = leaves(TREE)


def calls(text):
    """Every `aap …` of a skill: the lines of its shell blocks, and what stands in backticks."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in lines:
        words = shlex.split(re.sub(r"[<>]\S+", "", line.replace("|", " | ")), comments=True)
        while "aap" in words:
            words = words[words.index("aap") + 1 :]
            yield words[: words.index("|")] if "|" in words else words


def test_there_are_three():
    assert set(SKILLS) == {"ai-agent-proxy", "context-cache", "openclaw-message"}


@pytest.mark.parametrize("name", SKILLS)
def test_a_skill_keeps_the_rules(name):
    text = SKILLS[name].text
    assert text.startswith("---\n")
    front, body = text[4:].split("\n---\n", 1)
    fields = dict(line.split(": ", 1) for line in front.splitlines())
    assert set(fields) <= FIELDS
    assert fields["name"] == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert len(name) <= 64
    assert 1 <= len(fields["description"]) <= 1024
    # A plain YAML scalar: nothing in it may begin something else.
    assert all(": " not in value and " #" not in value for value in fields.values())
    assert len(fields.get("compatibility", "")) <= 500
    assert len(text.splitlines()) < 150
    assert body.strip().startswith("# ")


@pytest.mark.parametrize("name", SKILLS)
def test_a_skill_names_commands_and_options_that_exist(name):
    found = list(calls(SKILLS[name].text))
    assert len(found) >= 5
    for words in found:
        group = TREE.commands.get(words[0])
        path = " ".join(words[:2]) if hasattr(group, "commands") else words[0]
        if path in TREE.commands:
            continue  # a group alone, as in "aap inbox"
        assert path in COMMANDS, words
        spellings = {s for p in COMMANDS[path].params for s in (*p.opts, *p.secondary_opts)}
        options = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
        assert options <= spellings, words


def test_the_commands_that_agents_need_are_named():
    named = {" ".join(words[:2]) for skill in SKILLS.values() for words in calls(skill.text)}
    assert {"inbox show", "inbox new", "inbox done", "context append", "context stats"} <= named
    assert any(call.startswith("reply") for call in named)


def test_the_members_that_json_has_are_named():
    text = SKILLS["ai-agent-proxy"].text
    section = text.partition("`--json` gives these members")[2].partition("`show` adds")[0]
    named = set(re.findall(r"`([a-z_]+)`", section))
    assert len(named) > 10
    assert named <= ENTRY_MEMBERS


@pytest.mark.parametrize("name", SKILLS)
def test_a_skill_names_no_folder_of_the_spool_that_is_not_there(name):
    folders = {*(state.value for state in State), "context"}
    assert set(re.findall(r"\.ai-agent-proxy/([a-z]+)", SKILLS[name].text)) <= folders

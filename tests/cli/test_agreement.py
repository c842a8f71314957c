"""Help, manual pages, completions, tables, exit codes, skills and README say the same.

And a change of one of them alone is found: each row below changes one in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer
from harness.agreement import Facts, facts_of, faults, texts

from aap.cli import app

TREE: Any = typer.main.get_command(app.app)
FACTS = facts_of(TREE, app.SECTIONS)
TEXTS = texts(TREE)


def test_they_agree() -> None:
    assert faults(FACTS, TEXTS) == []


Change = Callable[[Facts, dict[str, str]], Facts]


def with_option(path: str, option: str) -> Change:
    """The program gets an option that nobody tells of."""

    def change(facts: Facts, _said: dict[str, str]) -> Facts:
        options = facts.commands[path] | {option}
        return facts._replace(commands={**facts.commands, path: options})

    return change


def with_command(path: str) -> Change:
    def change(facts: Facts, _said: dict[str, str]) -> Facts:
        return facts._replace(commands={**facts.commands, path: frozenset()})

    return change


def replace(name: str, old: str, new: str) -> Change:
    """One text says something else."""

    def change(facts: Facts, said: dict[str, str]) -> Facts:
        assert old in said[name]
        said[name] = said[name].replace(old, new)
        return facts

    return change


def drop(name: str) -> Change:
    def change(facts: Facts, said: dict[str, str]) -> Facts:
        del said[name]
        return facts

    return change


PLACES = ("help inbox ls", "aap-inbox.1", "aap.bash", "_aap", "aap.fish")

# What is changed, and the texts that no longer agree.
CHANGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "an option more": (with_option("inbox ls", "--new"), PLACES),
    "a command more": (with_command("inbox sort"), ("help inbox sort", "the pages", "man/aap.1")),
    "a group more": (
        with_command("mailbox ls"),
        ("the sections", "there is no man/aap-mailbox.1", "README.md has no command mailbox"),
    ),
    "a setting more": (
        lambda facts, _: facts._replace(settings={**facts.settings, "COLOUR": "red"}),
        ("man/aap.conf.5 has no setting COLOUR", "aap.bash", "_aap", "aap.fish"),
    ),
    "another default": (
        lambda facts, _: facts._replace(settings={**facts.settings, "PORT": "7012"}),
        ("man/aap.conf.5 does not say of PORT: Default: 7012.",),
    ),
    "an exit code more": (
        lambda facts, _: facts._replace(exits=facts.exits | {8}),
        ("man/aap.1 has no exit code 8",),
    ),
    "an exit code less": (
        lambda facts, _: facts._replace(exits=facts.exits - {75}),
        ("man/aap.1 has what is no exit code", "man/aap-reply.1", "skills/ai-agent-proxy/SKILL.md"),
    ),
    "a check more": (
        lambda facts, _: facts._replace(checks=(*facts.checks, "moon.full")),
        (
            "man/aap-doctor.1 has no group of checks moon",
            "no check moon.full",
            "aap.bash",
            "_aap",
            "aap.fish",
        ),
    ),
    "a state more": (
        lambda facts, _: facts._replace(states=(*facts.states, "adrift")),
        ("man/aap-spool.5 has no state adrift", "man/aap-inbox.1 has no state adrift", "_aap"),
    ),
    "a scope more": (
        lambda facts, _: facts._replace(scopes=(*facts.scopes, "wipe")),
        ("man/aap-key.1 has no scope wipe", "aap.bash", "_aap", "aap.fish"),
    ),
    "help": (replace("help inbox rm", "--yes", "--sure"), ("help inbox rm has no option --yes",)),
    "a heading of help": (replace("help", "Set up:", "Settings:"), ("help has sections",)),
    "an example of help": (
        replace("help inbox", "--all --state", "--every --state"),
        ("help inbox: aap inbox retry has no --every",),
    ),
    "a synopsis": (
        replace("man/aap-inbox.1", ".Op Fl -group\n", ""),
        ("the synopsis of inbox ls has no option --group",),
    ),
    "an entry": (
        replace("man/aap-inbox.1", ".It Fl -group\n", ".It Fl -groups\n"),
        ("does not tell what inbox ls --group is for",),
    ),
    "an example of a page": (
        replace("man/aap.7", ".Ql aap pause --now", ".Ql aap pause --quick"),
        ("man/aap.7: aap pause has no --quick",),
    ),
    "a page": (drop("man/aap-key.1"), ("there is no man/aap-key.1", "the pages has no command")),
    "a list of commands": (
        replace("man/aap.1", ".Cm new , ls , revoke .", ".Cm new , ls ."),
        ("man/aap.1 lists ['new', 'ls'] for key",),
    ),
    "a reference": (
        replace("man/aap.1", ".Xr aap-logs 1 .", ".Xr aap-send 1 ."),
        ("man/aap.1 sends who looks for logs to aap-send",),
    ),
    "an exit code in the manual": (
        replace("man/aap.1", ".It 78\n", ".It 79\n"),
        ("man/aap.1 has no exit code 78", "man/aap.1 has what is no exit code: 79"),
    ),
    "a default in the manual": (
        replace("man/aap.conf.5", "Default: 7011.", "Default: 80."),
        ("man/aap.conf.5 does not say of PORT",),
    ),
    "bash": (replace("completions/aap.bash", " --group ", " "), ("aap.bash: inbox ls",)),
    "zsh": (replace("completions/_aap", "--group[", "--groups["), ("_aap: inbox ls",)),
    "fish": (replace("completions/aap.fish", "-l group", "-l groups"), ("aap.fish: inbox ls",)),
    "a skill": (
        replace("skills/ai-agent-proxy/SKILL.md", "aap inbox done", "aap inbox finish"),
        ("skills/ai-agent-proxy/SKILL.md: there is no aap inbox finish",),
    ),
    "a skill's exit code": (
        replace("skills/ai-agent-proxy/SKILL.md", "| 75 |", "| 76 |"),
        ("skills/ai-agent-proxy/SKILL.md has what is no exit code: 76",),
    ),
    "a skill more": (
        lambda facts, _: facts._replace(skills=(*facts.skills, "cooking")),
        ("skills/ has no skill cooking", "man/aap-skills.1", "aap.bash"),
    ),
    "a unit": (
        replace("packaging/systemd/aap-api.service.in", "man:aap(7)", "man:aap-api(8)"),
        ("aap-api.service.in names a page that is none: aap-api(8)",),
    ),
    "the README": (
        replace("README.md", "`aap key new`, `ls`, `revoke`", "`aap key new`, `list`"),
        ("README.md names aap key list",),
    ),
    "the README's advice": (
        replace("README.md", "aap install --user --linger", "aap install --user --stay"),
        ("README.md: aap install has no --stay",),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_one_alone_is_found(what: str) -> None:
    change, told = CHANGES[what]
    said = dict(TEXTS)
    found = faults(change(FACTS, said), said)
    for words in told:
        assert any(words in fault for fault in found), found

"""What is said more than once, held against each other: the program, its help, the manual
pages, the completions, the skills and the README.

`facts_of` reads the program, `texts` the files; `faults` compares. Both are plain values, so
that a test can change one of them alone and see that it is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from .command import CHECKOUT

# What each command takes, and no page repeats.
GENERAL = frozenset(("--workspace", "-w", "--config", "--help", "-h", "--version"))

Texts = Mapping[str, str]
"""By path in the checkout; and `help COMMAND`, what `aap COMMAND --help` prints."""


class Facts(NamedTuple):
    """What the program is."""

    commands: dict[str, frozenset[str]]  # "inbox ls": its options, without the general ones
    hidden: frozenset[str]
    sections: dict[str, tuple[str, ...]]  # of `aap --help`
    settings: dict[str, str]  # with their defaults
    exits: frozenset[int]
    checks: tuple[str, ...]
    states: tuple[str, ...]
    skills: tuple[str, ...]
    scopes: tuple[str, ...]  # of keys

    @property
    def groups(self) -> dict[str, list[str]]:
        """The first words, with the words that may follow."""
        found: dict[str, list[str]] = {}
        for path in self.commands:
            word, _, rest = path.partition(" ")
            found.setdefault(word, []).extend([rest] if rest else [])
        return found


def facts_of(tree: Any, sections: Mapping[str, tuple[str, ...]]) -> Facts:
    """Read the program: its command tree and its tables."""
    from aap import skillset
    from aap.cli.checks import CHECKS
    from aap.config import SETTINGS
    from aap.config.keys import Scope
    from aap.errors import Exit
    from aap.message import State

    leaves = dict(_leaves(tree, ""))
    return Facts(
        {path: _options(command) for path, command in leaves.items() if not command.hidden},
        frozenset(path for path, command in leaves.items() if command.hidden),
        dict(sections),
        {key: row.default for key, row in SETTINGS.items()},
        frozenset(map(int, Exit)),
        tuple(CHECKS),
        tuple(state.value for state in State),
        tuple(skill.name for skill in skillset.skills()),
        tuple(scope.value for scope in Scope),
    )


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    else:
        for name, each in below.items():
            yield from _leaves(each, f"{path} {name}".strip())


def _options(command: Any) -> frozenset[str]:
    names = {n for p in command.params for n in (*p.opts, *p.secondary_opts) if n.startswith("-")}
    return frozenset(names - GENERAL)


def texts(tree: Any) -> dict[str, str]:
    """Read all that is said of it."""
    places = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    places += [
        "man/*.[157]",
        "completions/*",
        "skills/*/*.md",
        "packaging/*/README.md",
        "packaging/systemd/*.in",
    ]
    files = [path for place in places for path in sorted(CHECKOUT.glob(place))]
    found = {str(path.relative_to(CHECKOUT)): path.read_text("utf-8") for path in files}
    return found | {f"help {path}".strip(): text for path, text in _helps(tree)}


def _helps(tree: Any) -> Iterator[tuple[str, str]]:
    def walk(command: Any, path: str, parent: Any) -> Iterator[tuple[str, str]]:
        name = path.rpartition(" ")[2] or "aap"
        context = command.make_context(name, [], parent=parent, resilient_parsing=True)
        yield path, command.get_help(context)
        for word, each in getattr(command, "commands", {}).items():
            yield from walk(each, f"{path} {word}".strip(), context)

    yield from walk(tree, "", None)


def faults(facts: Facts, said: Texts) -> list[str]:
    """Compare everything with everything; return what does not agree, as sentences."""
    return [fault for compare in COMPARISONS for fault in compare(facts, said)]


def _differ(where: str, what: str, said: Any, meant: Any) -> Iterator[str]:
    said, meant = set(said), set(meant)
    if meant - said:
        yield f"{where} has no {what} {', '.join(sorted(map(str, meant - said)))}"
    if said - meant:
        yield f"{where} has what is no {what}: {', '.join(sorted(map(str, said - meant)))}"


# --help


def _help(facts: Facts, said: Texts) -> Iterator[str]:
    helped = {name.removeprefix("help ") for name in said if name.startswith("help ")}
    yield from (f"there is no help {path}" for path in facts.commands.keys() - helped)
    for path, options in facts.commands.items():
        text = said.get(f"help {path}", "").partition("\nOptions:")[2].partition("\nExamples:")[0]
        shown = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", "\n".join(_columns(text)))
        yield from _differ(f"help {path}", "option", set(shown) - GENERAL, options)


def _sections(facts: Facts, said: Texts) -> Iterator[str]:
    """`aap --help` lists every command, by what one wants to do."""
    sections = {
        title: tuple(re.findall(r"^  ([a-z]+) ", body, re.MULTILINE))
        for title, body in re.findall(
            r"^([A-Z][\w ]+):\n((?:  .*\n?)+)", said.get("help", ""), re.MULTILINE
        )
        if title not in {"Options", "Examples", "Usage"}
    }
    if sections != facts.sections:
        yield f"help has sections {sections}, not {facts.sections}"
    listed = [name for names in facts.sections.values() for name in names]
    yield from _differ("the sections of help", "command", listed, facts.groups)


def _columns(text: str) -> list[str]:
    """The left column of a list of options."""
    return [line[2:].split("  ")[0] for line in text.splitlines() if line.startswith("  -")]


# Manual pages


def section(page: str, title: str) -> str:
    """The source of one section."""
    return page.partition(f"\n.Sh {title}\n")[2].partition("\n.Sh ")[0] + "\n"


def options_in(source: str) -> set[str]:
    """The options that mdoc source names."""
    return {f"-{name}" for name in re.findall(r"\bFl (-[a-z][a-z-]*|[a-z]\b)", source)}


def synopses(page: str) -> dict[str, set[str]]:
    """The commands of a page, with the options that its synopsis gives them."""
    blocks = re.split(r"^\.Nm aap\n", section(page, "SYNOPSIS"), flags=re.MULTILINE)[1:]
    found = {}
    for block in blocks:
        first = re.match(r"\.Cm (.*)\n", block)
        if first:
            found[first[1]] = options_in(block)
    return found


def _command_pages(said: Texts) -> dict[str, str]:
    return {
        name: text
        for name, text in said.items()
        if re.fullmatch(r"man/aap-[a-z]+\.1", name) and not text.startswith(".so ")
    }


def _pages(facts: Facts, said: Texts) -> Iterator[str]:
    seen: list[str] = []
    for name, page in _command_pages(said).items():
        found = synopses(page)
        seen += found
        for path in found.keys() & facts.commands:
            options = facts.commands[path]
            yield from _differ(f"{name}: the synopsis of {path}", "option", found[path], options)
            told = options_in(_entry(page, path, alone=len(found) == 1))
            missing = options - told
            if missing:
                yield f"{name} does not tell what {path} {', '.join(sorted(missing))} is for"
    yield from _differ("the pages", "command", seen, facts.commands)
    yield from (f"{path} is in two synopses" for path in set(seen) if seen.count(path) > 1)
    for name in facts.groups:
        if f"man/aap-{name}.1" not in said:
            yield f"there is no man/aap-{name}.1"


def _entry(page: str, path: str, *, alone: bool) -> str:
    """What a page says of a command: its entry, and what is said of all beside the entries."""
    text = section(page, "DESCRIPTION")
    if alone:
        return text
    parts = re.split(r"^\.It Cm (\w+(?: \w+)?)\n", text, flags=re.MULTILINE)
    entries = dict(zip(parts[1::2], parts[2::2], strict=True))
    shared = parts[0] + "".join(entry.partition("\n.El\n")[2] for entry in entries.values()
                                if ".Bl" not in entry.partition("\n.El\n")[0])  # fmt: skip
    return shared + entries[path] if path in entries else ""


def _overview(facts: Facts, said: Texts) -> Iterator[str]:
    """man/aap.1 lists all commands in the sections of --help, and sends to their pages."""
    page = said.get("man/aap.1", "")
    sections = {}
    for part in section(page, "COMMANDS").split("\n.Ss ")[1:]:
        title, _, body = part.partition("\n")
        sections[title] = tuple(re.findall(r"^\.It Nm Cm (\w+)$", body, re.MULTILINE))
        for name, entry in re.findall(r"(?ms)^\.It Nm Cm (\w+)\n(.*?)(?=^\.[IE])", body):
            listed = re.findall(r"^\.Cm ([a-z][a-z , ]+) \.$", entry, re.MULTILINE)
            words = listed[0].split(" , ") if listed else []
            if words != facts.groups.get(name, []):
                yield f"man/aap.1 lists {words} for {name}, which has {facts.groups.get(name)}"
            yield from _refers(name, entry, said)
    if sections != facts.sections:
        yield f"man/aap.1 has sections {sections}, not {facts.sections}"


def _exits(facts: Facts, said: Texts) -> Iterator[str]:
    """man/aap.1 has every exit code; the other pages, and the skills, no other."""
    for name, text in said.items():
        codes = re.findall(r"^\.It (\d+)$", section(text, "EXIT STATUS"), re.MULTILINE)
        if name.startswith("skills/"):
            codes = re.findall(r"^\| (\d+) \|", text, re.MULTILINE)
        known = set(map(int, codes))
        wanted = facts.exits if name == "man/aap.1" else known & facts.exits
        yield from _differ(name, "exit code", known, wanted)


def _refers(name: str, entry: str, said: Texts) -> Iterator[str]:
    target = re.search(r"^\.Xr (aap-\w+) 1", entry, re.MULTILINE)
    page = said.get(f"man/{target[1]}.1", "") if target else ""
    if not any(path.split()[0] == name for path in synopses(page)):
        yield f"man/aap.1 sends who looks for {name} to {target and target[1]}, which has it not"


def _settings(facts: Facts, said: Texts) -> Iterator[str]:
    source = section(said.get("man/aap.conf.5", ""), "SETTINGS")
    rows = re.split(r"^\.It Cm ", source, flags=re.MULTILINE)[1:]
    said_of = {row.split("\n")[0]: row for row in rows}
    yield from _differ("man/aap.conf.5", "setting", said_of, facts.settings)
    for key in said_of.keys() & facts.settings:
        default = f"Default: {facts.settings[key] or 'empty'}."
        if default.replace("\\", "\\e") not in said_of[key]:
            yield f"man/aap.conf.5 does not say of {key}: {default}"


def _tags(said: Texts, name: str, tag: str) -> list[str]:
    """The tags of a page's lists that have this form."""
    return re.findall(rf"^\.It {tag}$", said.get(name, ""), re.MULTILINE)


def _tables(facts: Facts, said: Texts) -> Iterator[str]:
    """The checks, the scopes of keys, the states of messages."""
    doctor = "man/aap-doctor.1"
    yield from _differ(doctor, "check", _tags(said, doctor, r"Cm (\w+\.[\w-]+)"), facts.checks)
    groups = {check.partition(".")[0] for check in facts.checks}
    yield from _differ(doctor, "group of checks", _tags(said, doctor, r"Cm (\w+)"), groups)
    key = "man/aap-key.1"
    yield from _differ(key, "scope", _tags(said, key, r"Cm (\w+)"), facts.scopes)
    folders = set(_tags(said, "man/aap-spool.5", r"Pa (\w+)/")) & set(facts.states)
    yield from _differ("man/aap-spool.5", "state", folders, facts.states)
    yield from _differ("man/aap-inbox.1", "state", _states(said), facts.states)


def _states(said: Texts) -> list[str]:
    """The states that aap-inbox(1) names, in one sentence."""
    sentence = r"^\.Ar state\nis\n\.Cm (.*)\nor\n\.Cm (\w+) \.$"
    found = re.search(sentence, said.get("man/aap-inbox.1", ""), re.MULTILINE)
    return [*found[1].rstrip(" ,").split(" , "), found[2]] if found else []


# Completions


def _completions(facts: Facts, said: Texts) -> Iterator[str]:
    readers = {"aap.bash": _in_bash, "_aap": _in_zsh, "aap.fish": _in_fish}
    words = {
        "setting": tuple(facts.settings),
        "check": facts.checks,
        "skill": facts.skills,
        "state": facts.states,
        "scope": facts.scopes,
    }
    for file, read in readers.items():
        text = said[f"completions/{file}"]
        found = read(text)
        yield from _differ(file, "command", found, facts.commands)
        for path in found.keys() & facts.commands:
            said_of, meant = found[path] - GENERAL, facts.commands[path]
            yield from _differ(f"{file}: {path}", "option", said_of, meant)
        for what, meant in words.items():
            missing = [w for w in meant if not re.search(rf"(?<![\w.-]){re.escape(w)}\b", text)]
            if missing:
                yield f"{file} does not complete the {what} {', '.join(missing)}"


def _in_bash(text: str) -> dict[str, set[str]]:
    row = r'(?m)^ +"([a-z ]+)"\) COMPREPLY=\(\$\(compgen -W "(--?[^"]*)"'
    rows = re.findall(row, text)
    return {path: set(words.split()) for path, words in rows if not _is_group(path, text)}


def _is_group(path: str, bash: str) -> bool:
    return f'"{path}:' in bash


def _in_zsh(text: str) -> dict[str, set[str]]:
    bodies = re.findall(r"^_aap_(\w+)\(\) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return {
        name.replace("_", " "): set(re.findall(r"'(?:\([^)]*\))?(--?[a-z][a-z-]*)\[", body))
        for name, body in bodies
        if "->command" not in body
    }


def _in_fish(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    row = r"(?m)^complete -c aap -n '__aap_at ([a-z ]+) \+' ((?:-[ls] [a-z-]+ ?)+)"
    for path, names in re.findall(row, text):
        words = names.split()
        spelled = {
            f"{'--' if kind == '-l' else '-'}{name}"
            for kind, name in zip(words[::2], words[1::2], strict=True)
        }
        found.setdefault(path, set()).update(spelled)
    return found


# Skills, README


def _skills(facts: Facts, said: Texts) -> Iterator[str]:
    there = {name.split("/")[1] for name in said if name.endswith("/SKILL.md")}
    yield from _differ("skills/", "skill", there, facts.skills)
    page = said.get("man/aap-skills.1", "")
    named = set(re.findall(r"^\.Cm ([a-z-]+) ,$", page, re.MULTILINE))
    yield from _differ("man/aap-skills.1", "skill", named, facts.skills)


def _readme(facts: Facts, said: Texts) -> Iterator[str]:
    """The table of commands names each first word, and after it only words that follow it."""
    table = section_of_markdown(said.get("README.md", ""), "The commands")
    named: list[str] = []
    for cell in re.findall(r"^\| (`aap .*?) \|", table, re.MULTILINE):
        group = ""
        for span in re.findall(r"`([^`]*)`", cell):
            words = span.removeprefix("aap ").split()
            if span.startswith("aap "):
                group = words.pop(0)
                named.append(group)
            known = facts.groups.get(group, [])
            if known and words and words[0] not in {*known, "…"}:
                yield f"README.md names aap {group} {words[0]}, which is none"
    yield from _differ("README.md", "command", named, facts.groups)
    yield from (f"README.md has {name} in two rows" for name in set(named) if named.count(name) > 1)


def _units(_facts: Facts, said: Texts) -> Iterator[str]:
    """`systemctl help` opens what the units name."""
    for name, text in said.items():
        if name.startswith("packaging/"):
            for page, number in re.findall(r"\bman:(aap[\w.-]*)\((\d)\)", text):
                if f"man/{page}.{number}" not in said:
                    yield f"{name} names a page that is none: {page}({number})"


def section_of_markdown(text: str, title: str) -> str:
    """What stands below a heading of the second level."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


# What texts tell people to type


def _mentions(facts: Facts, said: Texts) -> Iterator[str]:
    for name, text in said.items():
        for command in _typed(name, text):
            if fault := fault_of(facts, command):
                yield f"{name}: {fault}"


def _typed(name: str, text: str) -> Iterator[str]:
    """The commands in a text, without the `aap`."""
    if name.startswith("help"):
        text = text.partition("\nExamples:")[2]
        lines = [line.split("   ")[0] for line in re.findall(r"^ +(.*)$", text, re.MULTILINE)]
    elif name.startswith("man/"):
        lines = re.findall(r"^(?:\.Ql (?:\S+ )??|[ $>]*)(aap .*)$", _unescape(text), re.MULTILINE)
    elif name.endswith(".md"):
        fenced = re.findall(r"^ *```.*?^ *```", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in fenced for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", text)
    else:
        return
    for line in lines:
        for match in re.finditer(r"(?<![\w./-])aap((?: -w \S+)? [a-z][^|;#)&]*)", line):
            yield match[1].strip()


def _unescape(mdoc: str) -> str:
    return mdoc.replace("\\(dq", '"').replace("\\&", "")


def fault_of(facts: Facts, command: str) -> str:
    """What is wrong with a command line, given without the `aap`; empty if nothing is."""
    words = [word.strip(".:,'\"]") for word in re.sub(r"^-w \S+ ", "", command).split()]
    path = words.pop(0)
    if path not in facts.groups:
        return "" if _is_prose(path, facts) else f"there is no aap {path}"
    if facts.groups[path]:
        if not words or not re.fullmatch(r"[a-z-]+", words[0]):
            return ""  # the group itself
        path = f"{path} {words.pop(0)}"
    if path not in facts.commands:
        return "" if path in facts.hidden else f"there is no aap {path}"
    options = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
    strange = sorted(options - facts.commands[path] - GENERAL)
    return f"aap {path} has no {strange[0]}" if strange else ""


def _is_prose(word: str, facts: Facts) -> bool:
    """A sentence about the program, not a command: "aap takes", "aap of"."""
    is_verb = word.endswith("s") and not get_close_matches(word, facts.groups, cutoff=0.75)
    return word in PROSE or is_verb or not re.fullmatch(r"[a-z-]+", word)


# What follows the name of the program in a sentence about it, besides verbs ("aap takes …").
PROSE = {
    *("a", "and", "api", "as", "but", "can", "cannot", "could", "failed", "for", "from", "had"),
    *("home", "in", "itself", "made", "of", "on", "or", "than", "to", "under", "will", "would"),
    *("wrote",),
}

COMPARISONS = (
    _help,
    _sections,
    _pages,
    _overview,
    _exits,
    _settings,
    _tables,
    _completions,
    _skills,
    _readme,
    _units,
    _mentions,
)

"""The completion scripts in `completions/`, written from the command tree.

Static scripts, because a script that asks the program at each Tab waits for
typer to be imported; only ids are asked for, and `aap inbox ids` is a hot
command. `python -m aap.cli.completion FOLDER` writes the three files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aap.shared import COMPLETIONS


@dataclass(frozen=True)
class Value:
    """What a word may be: fixed `words`, or what a shell finds by `kind`."""

    kind: (
        str  # words | ids | conversations | names | workspaces | keys | files | folders | anything
    )
    words: tuple[str, ...] = ()
    many: bool = False


@dataclass(frozen=True)
class Option:
    """An option with its spellings; `value` is None for a flag."""

    names: tuple[str, ...]
    help: str
    value: Value | None


@dataclass(frozen=True)
class Node:
    """A command or a group; `path` is its words after `aap`."""

    path: str
    help: str
    commands: tuple[tuple[str, str], ...]  # name, help
    options: tuple[Option, ...]
    argument: Value | None


def tree() -> list[Node]:
    """Read the Typer tree, the root first; hidden commands are left out."""
    import typer

    from aap.cli.app import app

    return list(_walk(typer.main.get_command(app), ""))


def _walk(command: Any, path: str) -> Iterator[Node]:
    below = [
        (name, each) for name, each in getattr(command, "commands", {}).items() if not each.hidden
    ]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    yield Node(
        path,
        command.get_short_help_str(80).rstrip("."),
        tuple((name, each.get_short_help_str(80).rstrip(".")) for name, each in below),
        (*map(_option, _options(command)), Option(("-h", "--help"), "Show help", None)),
        _value(arguments[0]) if arguments else None,
    )
    for name, each in below:
        yield from _walk(each, f"{path} {name}".strip())


def _options(command: Any) -> list[Any]:
    return [
        p
        for p in command.params
        if p.param_type_name == "option" and not p.hidden and p.name != "help"
    ]


def _option(parameter: Any) -> Option:
    text = (parameter.help or "").rstrip(".")
    names = (*parameter.opts, *parameter.secondary_opts)
    return Option(names, text, None if parameter.is_flag else _value(parameter))


def _value(parameter: Any) -> Value:
    from aap import skillset
    from aap.cli.checks import CHECKS
    from aap.config import SETTINGS

    if choices := getattr(parameter.type, "choices", None):
        return Value("words", tuple(str(getattr(each, "value", each)) for each in choices))
    metavar = (parameter.metavar or "").strip("[].")
    tables: dict[str, Iterable[str]] = {"KEY": SETTINGS, "CHECK": CHECKS}
    tables["SKILL"] = [skill.name for skill in skillset.skills()]
    if metavar in tables:
        return Value("words", tuple(tables[metavar]))
    kinds = {
        "ID": "ids",
        "C": "conversations",
        "FILE": "files",
        "FILE|-": "files",
        "FOLDER": "folders",
    }
    kinds |= {
        "NAME|PATH": "workspaces",
        "NAME": "keys" if parameter.name == "key_name" else "names",
    }
    return Value(kinds.get(metavar, "anything"), many=parameter.nargs == -1)


# bash

_BASH = """\
# Completion of aap for bash; written by python -m aap.cli.completion, not by hand.

_aap() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} path= i
    # bash takes "=" for a word of its own.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$path:${{COMP_WORDS[i]}}" in
            {with_values}) ((i++)) ;;
            {steps}
        esac
    done
    COMPREPLY=()
    case "$path:$prev" in
        {values}
    esac
    if [[ $cur == -* ]]; then
        case "$path" in
            {options}
        esac
        return
    fi
    case "$path" in
        {words}
    esac
}}
complete -F _aap aap
"""

_BASH_VALUE = {
    "ids": 'COMPREPLY=($(compgen -W "$(aap inbox ids 2>/dev/null)" -- "$cur"))',
    "conversations": (
        'COMPREPLY=($(compgen -W "$(aap inbox conversations 2>/dev/null)" -- "$cur"))'
    ),
    "files": 'mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames',
    "folders": 'mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames',
    "names": 'COMPREPLY=($(compgen -W "$(aap workspace names 2>/dev/null)" -- "$cur"))',
    "keys": 'COMPREPLY=($(compgen -W "$(aap key names 2>/dev/null)" -- "$cur"))',
    # What has a slash in it is a path.
    "workspaces": (
        'if [[ $cur == */* ]]; then mapfile -t COMPREPLY < <(compgen -d -- "$cur"); '
        "compopt -o filenames; "
        'else COMPREPLY=($(compgen -W "$(aap workspace names 2>/dev/null)" -- "$cur")); fi'
    ),
    "anything": ":",
}


def _bash_words(words: Sequence[str]) -> str:
    return f'COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$cur"))'


def _bash_value(value: Value) -> str:
    return _bash_words(value.words) if value.kind == "words" else _BASH_VALUE[value.kind]


def bash(nodes: Sequence[Node]) -> str:
    """Return the script for bash."""
    valued = [(node, option) for node in nodes for option in node.options if option.value]
    groups = [node for node in nodes if node.commands]
    return _BASH.format(
        with_values=" | ".join(sorted({f"*:{name}" for _, o in valued for name in o.names})),
        steps="\n            ".join(
            f'"{node.path}:{name}") path="{f"{node.path} {name}".strip()}" ;;'
            for node in groups
            for name, _ in node.commands
        ),
        values="\n        ".join(_bash_values(valued)),
        options="\n            ".join(
            f'"{node.path}") {_bash_words([n for o in node.options for n in o.names])} ;;'
            for node in nodes
        ),
        words="\n        ".join(
            f'"{node.path}") {_bash_place(node)} ;;' for node in nodes if _bash_place(node)
        ),
    )


def _bash_values(valued: Sequence[tuple[Node, Option]]) -> Iterator[str]:
    """Say each option once, for all commands that have it: a name means the same everywhere."""
    seen = {name: option.value for _, option in valued for name in option.names}
    for value in dict.fromkeys(seen.values()):
        names = " | ".join(f"*:{name}" for name, each in seen.items() if each == value)
        if value:
            yield f"{names}) {_bash_value(value)}; return ;;"


def _bash_place(node: Node) -> str:
    if node.commands:
        return _bash_words([name for name, _ in node.commands])
    return _bash_value(node.argument) if node.argument else ""


# zsh

# Two underscores: with one it would be the function of a command of this name.
_ZSH_VALUE = {
    "ids": "{__aap_inbox ids}",
    "conversations": "{__aap_inbox conversations}",
    "files": "_files",
    "folders": "_files -/",
    "names": "{__aap_names workspace}",
    "keys": "{__aap_names key}",
    "workspaces": "{__aap_workspaces}",
    "anything": " ",
}


def zsh(nodes: Sequence[Node]) -> str:
    """Return the function for zsh."""
    parts = [
        "#compdef aap",
        "# Completion of aap for zsh; written by python -m aap.cli.completion, not by hand.",
        "",
        "__aap_inbox() {",
        "    local -a found",
        '    found=(${(f)"$(_call_program $1 aap inbox $1 2>/dev/null)"})',
        "    compadd -a found",
        "}",
        "",
        "__aap_names() {",
        "    local -a names",
        '    names=(${(f)"$(_call_program names aap $1 names 2>/dev/null)"})',
        "    compadd -a names",
        "}",
        "",
        "__aap_workspaces() {",
        "    if [[ $PREFIX == */* ]]; then _files -/; else __aap_names workspace; fi",
        "}",
    ]
    for node in reversed(nodes):
        parts += ["", f"{_zsh_name(node.path)}() {{", *_zsh_body(node), "}"]
    return "\n".join([*parts, "", '_aap "$@"', ""])


def _zsh_name(path: str) -> str:
    return "_aap_" + path.replace(" ", "_") if path else "_aap"


def _zsh_body(node: Node) -> list[str]:
    specs = [spec for option in node.options for spec in _zsh_option(option)]
    if not node.commands:
        if node.argument:
            place = "*" if node.argument.many else "1"
            specs.append(f"'{place}:{node.argument.kind}:{_zsh_value(node.argument)}'")
        return ["    _arguments -s \\", *(f"        {spec} \\" for spec in specs[:-1]),
                f"        {specs[-1]}"]  # fmt: skip
    specs += ["'1: :->command'", "'*:: :->rest'"]
    named = [f"            {_quote(f'{name}:{text}')}" for name, text in node.commands]
    steps = [
        f"                {name}) {_zsh_name(f'{node.path} {name}'.strip())} ;;"
        for name, _ in node.commands
    ]
    return [
        "    local curcontext=$curcontext state line",
        "    _arguments -C -s \\",
        *(f"        {spec} \\" for spec in specs[:-1]),
        f"        {specs[-1]}",
        "    case $state in",
        "        command)",
        "            local -a commands=(",
        *(f"    {name}" for name in named),
        "            )",
        "            _describe command commands ;;",
        "        rest)",
        "            case $line[1] in",
        *steps,
        "            esac ;;",
        "    esac",
    ]


def _zsh_option(option: Option) -> Iterator[str]:
    text = option.help.replace("[", "(").replace("]", ")").replace(":", "\\:")
    others = f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    for name in option.names:
        value = f":{option.value.kind}:{_zsh_value(option.value)}" if option.value else ""
        yield _quote(f"{others}{name}[{text}]{value}")


def _zsh_value(value: Value) -> str:
    if value.kind == "words":
        return f"({' '.join(value.words)})"
    return _ZSH_VALUE[value.kind]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# fish

_FISH = """\
# Completion of aap for fish; written by python -m aap.cli.completion, not by hand.

# True where the words so far, without options and their values, are exactly these,
# or these and more where the last argument is "+".
function __aap_at
    set -l path
    set -l skip 0
    for word in (commandline -opc)[2..]
        if test $skip = 1
            set skip 0
        else if contains -- $word {with_values}
            set skip 1
        else if not string match -q -- '-*' $word
            set -a path $word
        end
    end
    if test "$argv[-1]" = +
        string match -q -- "$argv[1..-2] *" "$path "
    else
        test "$path" = "$argv"
    end
end

complete -c aap -f
"""

_FISH_VALUE = {
    "ids": "-x -a '(aap inbox ids 2>/dev/null)'",
    "conversations": "-x -a '(aap inbox conversations 2>/dev/null)'",
    "files": "-r -F",
    "folders": "-x -a '(__fish_complete_directories)'",
    "names": "-x -a '(aap workspace names 2>/dev/null)'",
    "keys": "-x -a '(aap key names 2>/dev/null)'",
    "workspaces": "-x -a '(aap workspace names 2>/dev/null; __fish_complete_directories)'",
    "anything": "-x",
}


def fish(nodes: Sequence[Node]) -> str:
    """Return the script for fish."""
    valued = sorted({n for node in nodes for o in node.options if o.value for n in o.names})
    lines = [_FISH.format(with_values=" ".join(valued)).rstrip()]
    for node in nodes:
        lines.append("")
        for name, text in node.commands:
            lines.append(f"complete -c aap -n '{_fish_at(node)}' -a {name} -d {_fish_quote(text)}")
        lines += [_fish_option(node, option) for option in node.options]
        if node.argument:
            lines.append(f"complete -c aap -n '{_fish_at(node)} +' {_fish_value(node.argument)}")
    return "\n".join([*lines, ""])


def _fish_at(node: Node) -> str:
    return f"__aap_at {node.path}".strip()


def _fish_option(node: Node, option: Option) -> str:
    names = " ".join(
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    )
    more = "" if node.commands else " +"
    value = f" {_fish_value(option.value)}" if option.value else ""
    text = _fish_quote(option.help)
    return f"complete -c aap -n '{_fish_at(node)}{more}' {names}{value} -d {text}"


def _fish_value(value: Value) -> str:
    if value.kind == "words":
        return f"-x -a '{' '.join(value.words)}'"
    return _FISH_VALUE[value.kind]


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def script(shell: str) -> str:
    """Return the completion script for `bash`, `zsh` or `fish`."""
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell](tree())


def main() -> None:
    """Write the scripts into the folder that is named."""
    for shell, (name, _) in COMPLETIONS.items():
        Path(sys.argv[1], name).write_text(script(shell), encoding="utf-8")


if __name__ == "__main__":
    main()

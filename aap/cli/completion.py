"""The completion scripts in `completions/`, written from the command tree.

Static scripts, because a script that asks the program at each Tab waits for typer to be
imported. Only names that change are asked for, by hot commands, about the workspace that
the line names; and ids by what is typed of them, or a shell would sort ten thousand.
`python -m aap.cli.completion FOLDER` writes the three files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from aap.shared import COMPLETIONS


@dataclass(frozen=True)
class Value:
    """What a word may be: fixed `words`, or what a shell finds by `kind`.

    `kind` is words, settings, checks, skills (these four have `words`), ids, conversations,
    names, keys, workspaces, files, folders or anything. `helps` says of each word what it is.
    """

    kind: str
    words: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
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


_KINDS = {
    "ID": "ids",
    "C": "conversations",
    "FILE": "files",
    "FILE|-": "files",
    "FOLDER": "folders",
    "NAME": "names",
    "NAME|PATH": "workspaces",
}


def _value(parameter: Any) -> Value:
    from aap.config.keys import Scope

    if choices := getattr(parameter.type, "choices", None):
        return Value("words", tuple(str(getattr(each, "value", each)) for each in choices))
    metavar = (parameter.metavar or "").strip("[].")
    described = _described()
    if metavar in described:
        return described[metavar]
    if metavar == "SCOPE,":
        return Value("words", tuple(scope.value for scope in Scope))
    kind = "keys" if parameter.name == "key_name" else _KINDS.get(metavar, "anything")
    return Value(kind, many=parameter.nargs == -1)


def _described() -> dict[str, Value]:
    """The words of which a table says what they are, by the metavar of who takes them."""
    from aap import skillset
    from aap.cli.checks import CHECKS
    from aap.config import SETTINGS

    skills = {skill.name: skill.description for skill in skillset.skills()}
    return {
        "KEY": _words("settings", {name: row.help for name, row in SETTINGS.items()}),
        "CHECK": _words("checks", {name: check.why for name, check in CHECKS.items()}),
        "SKILL": _words("skills", skills),
    }


def _words(kind: str, helps: Mapping[str, str]) -> Value:
    first = [text.split(". ")[0].rstrip(".") for text in helps.values()]
    return Value(kind, tuple(helps), tuple(shorten(text, 70, placeholder="…") for text in first))


def _all_described(nodes: Sequence[Node]) -> list[Value]:
    """What has `helps`, each once, in the order of the tree."""
    values = [value for n in nodes for value in (n.argument, *(o.value for o in n.options))]
    return list(dict.fromkeys(value for value in values if value and value.helps))


# bash

_BASH = r"""# Completion of aap for bash; written by python -m aap.cli.completion, not by hand.

_aap() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} path= i word value
    local -a place=()
    # bash takes "=" for a word of its own.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case "$path:$word" in
            {with_values})
                [[ ${{COMP_WORDS[i+1]}} == "=" ]] && ((i++))
                value=${{COMP_WORDS[++i]//[\"\'\\]/}}
                case $word in
                    {places}) place+=("$word" "${{value/#\~\//$HOME/}}") ;;
                esac ;;
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

_PLACES = ("--config", "--workspace", "-w")
"""The options whose values `aap` is given as well when it is asked for names."""

_BASH_ASK = 'mapfile -t COMPREPLY < <(aap "${{place[@]}}" {} "$cur" 2>/dev/null)'
_BASH_CHOOSE = 'COMPREPLY=($(compgen -W "$(aap "${{place[@]}}" {} 2>/dev/null)" -- "$cur"))'
_BASH_FOLDERS = 'mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames'

_BASH_VALUE = {
    "ids": _BASH_ASK.format("inbox ids"),
    "conversations": _BASH_CHOOSE.format("inbox conversations"),
    "files": _BASH_FOLDERS.replace("-d", "-f"),
    "folders": _BASH_FOLDERS,
    "names": _BASH_CHOOSE.format("workspace names"),
    "keys": _BASH_CHOOSE.format("key names"),
    # What has a slash in it is a path.
    "workspaces": (
        f"if [[ $cur == */* ]]; then {_BASH_FOLDERS}; "
        f"else {_BASH_CHOOSE.format('workspace names')}; fi"
    ),
    "anything": ":",
}


def _bash_words(words: Sequence[str]) -> str:
    return f'COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$cur"))'


def _bash_value(value: Value) -> str:
    return _bash_words(value.words) if value.words else _BASH_VALUE[value.kind]


def bash(nodes: Sequence[Node]) -> str:
    """Return the script for bash."""
    valued = [(node, option) for node in nodes for option in node.options if option.value]
    groups = [node for node in nodes if node.commands]
    return _BASH.format(
        with_values=" | ".join(sorted({f"*:{name}" for _, o in valued for name in o.names})),
        places=" | ".join(_PLACES),
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

_ZSH = """\
#compdef aap
# Completion of aap for zsh; written by python -m aap.cli.completion, not by hand.

# Two underscores: with one they would be the functions of commands of these names.
__aap_ask() {
    local -a found
    found=(${(f)"$(_call_program $1 aap "${(@q)__aap_place}" $argv 2>/dev/null)"})
    compadd -a found
}

__aap_workspaces() {
    if [[ $PREFIX == */* ]]; then _files -/; else __aap_ask workspace names; fi
}

# What the line says of the workspace, for those that are asked.
__aap_look() {
    local i
    for ((i = 2; i < CURRENT; i++)); do
        case $words[i] in
            --config=* | --workspace=*) __aap_place+=(${(Q)words[i]}) ;;
            PLACES)
                ((i + 1 < CURRENT)) && __aap_place+=(${(Q)words[i]} ${(Q)~words[i+1]}) ;;
        esac
    done
}
""".replace("PLACES", " | ".join(_PLACES))

_ZSH_VALUE = {
    "ids": "{__aap_ask inbox ids ${(q)PREFIX}}",
    "conversations": "{__aap_ask inbox conversations}",
    "files": "_files",
    "folders": "_files -/",
    "names": "{__aap_ask workspace names}",
    "keys": "{__aap_ask key names}",
    "workspaces": "{__aap_workspaces}",
    "anything": " ",
}


def zsh(nodes: Sequence[Node]) -> str:
    """Return the function for zsh."""
    parts = [_ZSH.rstrip()]
    for value in _all_described(nodes):
        words = [
            _quote(f"{_zsh_word(w)}:{h}") for w, h in zip(value.words, value.helps, strict=True)
        ]
        parts += ["", f"__aap_{value.kind}() {{", "    local -a found=(",
                  *(f"        {word}" for word in words), "    )",
                  f"    _describe {value.kind} found", "}"]  # fmt: skip
    for node in reversed(nodes):
        parts += ["", f"{_zsh_name(node.path)}() {{", *_zsh_body(node), "}"]
    return "\n".join([*parts, "", '_aap "$@"', ""])


def _zsh_word(word: str) -> str:
    return word.replace(":", "\\:")


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
    # In the function, for zsh runs the rest of the file at the first call only.
    look = [] if node.path else ["    local -a __aap_place", "    __aap_look"]
    return [
        *look,
        "    local curcontext=$curcontext state line",
        "    _arguments -C -s -A '-*' \\",
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
    if value.helps:
        return f"{{__aap_{value.kind}}}"
    return f"({' '.join(value.words)})" if value.words else _ZSH_VALUE[value.kind]


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

# What the line says of the workspace, for those that are asked.
function __aap_ask
    set -l place
    set -l words (commandline -opc)
    for i in (seq 2 (count $words))
        switch $words[$i]
            case '--config=*' '--workspace=*'
                set -a place $words[$i]
            case {places}
                test $i -lt (count $words); or continue
                set -a place $words[$i] (string replace -r '^~/' "$HOME/" -- $words[(math $i + 1)])
        end
    end
    aap (string unescape -- $place) $argv 2>/dev/null
end
{described}
complete -c aap -f
"""

_FISH_VALUE = {
    "ids": "-x -a '(__aap_ask inbox ids (commandline -ct))'",
    "conversations": "-x -a '(__aap_ask inbox conversations)'",
    "files": "-r -F",
    "folders": "-x -a '(__fish_complete_directories)'",
    "names": "-x -a '(__aap_ask workspace names)'",
    "keys": "-x -a '(__aap_ask key names)'",
    "workspaces": "-x -a '(__aap_ask workspace names; __fish_complete_directories)'",
    "anything": "-x",
}


def fish(nodes: Sequence[Node]) -> str:
    """Return the script for fish."""
    valued = sorted({n for node in nodes for o in node.options if o.value for n in o.names})
    described = "".join(_fish_described(value) for value in _all_described(nodes))
    start = _FISH.format(
        with_values=" ".join(valued), places=" ".join(_PLACES), described=described
    )
    lines = [start.rstrip()]
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


def _fish_described(value: Value) -> str:
    rows = "".join(
        f" \\\n        {word} {_fish_quote(text)}"
        for word, text in zip(value.words, value.helps, strict=True)
    )
    return f"\nfunction __aap_{value.kind}\n    printf '%s\\t%s\\n'{rows}\nend\n"


def _fish_value(value: Value) -> str:
    if value.helps:
        return f"-x -a '(__aap_{value.kind})'"
    if value.words:
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

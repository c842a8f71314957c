"""The completion script for fish."""

from __future__ import annotations

from collections.abc import Sequence

from aap.cli.completion.nodes import PLACES, Node, Option, Value, described

_SCRIPT = """\
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

_VALUE = {
    "ids": "-x -a '(__aap_ask inbox ids (commandline -ct))'",
    "conversations": "-x -a '(__aap_ask inbox conversations)'",
    "files": "-r -F",
    "folders": "-x -a '(__fish_complete_directories)'",
    "names": "-x -a '(__aap_ask workspace names)'",
    "keys": "-x -a '(__aap_ask key names)'",
    "workspaces": "-x -a '(__aap_ask workspace names; __fish_complete_directories)'",
    "anything": "-x",
}


def script(nodes: Sequence[Node]) -> str:
    """Return the script for fish."""
    valued = sorted({n for node in nodes for o in node.options if o.value for n in o.names})
    functions = "".join(_described(value) for value in described(nodes))
    start = _SCRIPT.format(
        with_values=" ".join(valued), places=" ".join(PLACES), described=functions
    )
    lines = [start.rstrip()]
    for node in nodes:
        lines.append("")
        for name, text in node.commands:
            lines.append(f"complete -c aap -n '{_at(node)}' -a {name} -d {_quote(text)}")
        lines += [_option(node, option) for option in node.options]
        if node.argument:
            lines.append(f"complete -c aap -n '{_at(node)} +' {_value(node.argument)}")
    return "\n".join([*lines, ""])


def _at(node: Node) -> str:
    return f"__aap_at {node.path}".strip()


def _option(node: Node, option: Option) -> str:
    names = " ".join(
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    )
    more = "" if node.commands else " +"
    value = f" {_value(option.value)}" if option.value else ""
    text = _quote(option.help)
    return f"complete -c aap -n '{_at(node)}{more}' {names}{value} -d {text}"


def _described(value: Value) -> str:
    rows = "".join(
        f" \\\n        {word} {_quote(text)}"
        for word, text in zip(value.words, value.helps, strict=True)
    )
    return f"\nfunction __aap_{value.kind}\n    printf '%s\\t%s\\n'{rows}\nend\n"


def _value(value: Value) -> str:
    if value.helps:
        return f"-x -a '(__aap_{value.kind})'"
    if value.words:
        return f"-x -a '{' '.join(value.words)}'"
    return _VALUE[value.kind]


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

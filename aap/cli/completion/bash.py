"""The completion script for bash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aap.cli.completion.nodes import PLACES, Node, Option, Value

_SCRIPT = r"""# Completion of aap for bash; written by python -m aap.cli.completion, not by hand.

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

_ASK = 'mapfile -t COMPREPLY < <(aap "${{place[@]}}" {} "$cur" 2>/dev/null)'
_CHOOSE = 'COMPREPLY=($(compgen -W "$(aap "${{place[@]}}" {} 2>/dev/null)" -- "$cur"))'
_FOLDERS = 'mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames'

_VALUE = {
    "ids": _ASK.format("inbox ids"),
    "conversations": _CHOOSE.format("inbox conversations"),
    "files": _FOLDERS.replace("-d", "-f"),
    "folders": _FOLDERS,
    "names": _CHOOSE.format("workspace names"),
    "keys": _CHOOSE.format("key names"),
    # What has a slash in it is a path.
    "workspaces": (
        f"if [[ $cur == */* ]]; then {_FOLDERS}; else {_CHOOSE.format('workspace names')}; fi"
    ),
    "anything": ":",
}


def _words(words: Sequence[str]) -> str:
    return f'COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$cur"))'


def _value(value: Value) -> str:
    return _words(value.words) if value.words else _VALUE[value.kind]


def script(nodes: Sequence[Node]) -> str:
    """Return the script for bash."""
    valued = [(node, option) for node in nodes for option in node.options if option.value]
    groups = [node for node in nodes if node.commands]
    return _SCRIPT.format(
        with_values=" | ".join(sorted({f"*:{name}" for _, o in valued for name in o.names})),
        places=" | ".join(PLACES),
        steps="\n            ".join(
            f'"{node.path}:{name}") path="{f"{node.path} {name}".strip()}" ;;'
            for node in groups
            for name, _ in node.commands
        ),
        values="\n        ".join(_values(valued)),
        options="\n            ".join(
            f'"{node.path}") {_words([n for o in node.options for n in o.names])} ;;'
            for node in nodes
        ),
        words="\n        ".join(
            f'"{node.path}") {_place(node)} ;;' for node in nodes if _place(node)
        ),
    )


def _values(valued: Sequence[tuple[Node, Option]]) -> Iterator[str]:
    """Say each option once, for all commands that have it: a name means the same everywhere."""
    seen = {name: option.value for _, option in valued for name in option.names}
    for value in dict.fromkeys(seen.values()):
        names = " | ".join(f"*:{name}" for name, each in seen.items() if each == value)
        if value:
            yield f"{names}) {_value(value)}; return ;;"


def _place(node: Node) -> str:
    if node.commands:
        return _words([name for name, _ in node.commands])
    return _value(node.argument) if node.argument else ""

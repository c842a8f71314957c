"""The completion function for zsh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aap.cli.completion.nodes import PLACES, Node, Option, Value, described

_SCRIPT = """\
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
""".replace("PLACES", " | ".join(PLACES))

_VALUE = {
    "ids": "{__aap_ask inbox ids ${(q)PREFIX}}",
    "conversations": "{__aap_ask inbox conversations}",
    "files": "_files",
    "folders": "_files -/",
    "names": "{__aap_ask workspace names}",
    "keys": "{__aap_ask key names}",
    "workspaces": "{__aap_workspaces}",
    "anything": " ",
}


def script(nodes: Sequence[Node]) -> str:
    """Return the function for zsh."""
    parts = [_SCRIPT.rstrip()]
    for value in described(nodes):
        words = [_quote(f"{_word(w)}:{h}") for w, h in zip(value.words, value.helps, strict=True)]
        parts += ["", f"__aap_{value.kind}() {{", "    local -a found=(",
                  *(f"        {word}" for word in words), "    )",
                  f"    _describe {value.kind} found", "}"]  # fmt: skip
    for node in reversed(nodes):
        parts += ["", f"{_name(node.path)}() {{", *_body(node), "}"]
    return "\n".join([*parts, "", '_aap "$@"', ""])


def _word(word: str) -> str:
    return word.replace(":", "\\:")


def _name(path: str) -> str:
    return "_aap_" + path.replace(" ", "_") if path else "_aap"


def _body(node: Node) -> list[str]:
    specs = [spec for option in node.options for spec in _option(option)]
    if not node.commands:
        if node.argument:
            place = "*" if node.argument.many else "1"
            specs.append(f"'{place}:{node.argument.kind}:{_value(node.argument)}'")
        return ["    _arguments -s \\", *(f"        {spec} \\" for spec in specs[:-1]),
                f"        {specs[-1]}"]  # fmt: skip
    specs += ["'1: :->command'", "'*:: :->rest'"]
    named = [f"            {_quote(f'{name}:{text}')}" for name, text in node.commands]
    steps = [
        f"                {name}) {_name(f'{node.path} {name}'.strip())} ;;"
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


def _option(option: Option) -> Iterator[str]:
    text = option.help.replace("[", "(").replace("]", ")").replace(":", "\\:")
    others = f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    for name in option.names:
        value = f":{option.value.kind}:{_value(option.value)}" if option.value else ""
        yield _quote(f"{others}{name}[{text}]{value}")


def _value(value: Value) -> str:
    if value.helps:
        return f"{{__aap_{value.kind}}}"
    return f"({' '.join(value.words)})" if value.words else _VALUE[value.kind]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

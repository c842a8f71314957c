"""Tricky KEY=VALUE files, with what systemd (254 and later) makes of them.

`env` is the environment that a service gets by EnvironmentFile=, by systemd's own rules: a
later line replaces an earlier one, names that are no identifiers are dropped. `codes` are the
findings that `aap.config.parse` must have, in the order of the file; `old` is `env` as systemd
before 254 has it, where that differs. The keys are aap's own, so that only what is meant to be
doubtful is. A test with a real systemd can take the same table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    env: dict[str, str]
    codes: tuple[str, ...] = ()
    old: dict[str, str] | None = None


INIT_CLI = "/usr/bin/codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox"
WORK_CLI = "/usr/bin/codex resume --last --dangerously-bypass-approvals-and-sandbox"
SAMPLE = f"""\
HOST=0.0.0.0
PORT=7011
WORKSPACE=~/.openclaw/workspace
API_KEY=aibot_<your-key-something>
AGENT_INIT_CLI="{INIT_CLI}"
AGENT_CLI="{WORK_CLI}"
"""

CASES = [
    Case("empty file", "", {}),
    Case("blank lines and comments", "\n  \n# one\n ; two\n\t# three\nPORT=1\n", {"PORT": "1"}),
    Case("no newline at the end", "PORT=7011", {"PORT": "7011"}),
    Case("carriage returns", "PORT=1\r\nREPLY=a b\r\n", {"PORT": "1", "REPLY": "a b"}),
    Case("lone carriage returns", "PORT=1\rREPLY=a\r", {"PORT": "1", "REPLY": "a"}),
    Case("blanks around", "  PORT =  7011  \t\nREPLY= a  b \n", {"PORT": "7011", "REPLY": "a  b"}),
    Case(
        "empty values",
        "REPLY=\nAGENT=   \nAGENT_CLI=''\n",
        dict.fromkeys(("REPLY", "AGENT", "AGENT_CLI"), ""),
    ),
    Case("empty value at the end", "REPLY=", {"REPLY": ""}),
    Case("equals signs in a value", "REPLY=a=b=c\n", {"REPLY": "a=b=c"}),
    Case("double quotes", "REPLY=\"  a 'b' # c; \"\n", {"REPLY": "  a 'b' # c; "}),
    Case("single quotes", "REPLY='  a \"b\" \\n $c '\n", {"REPLY": '  a "b" \\n $c '}),
    Case(
        "escapes in double quotes",
        r'REPLY="\" \\ \` \$ \n \a \'"' + "\n",
        {"REPLY": r"""" \ ` $ \n \a \'"""},
    ),
    Case("continuation in double quotes", 'REPLY="a\\\nb"\n', {"REPLY": "ab"}),
    Case("a line break in double quotes", 'REPLY="a\nb"\n', {"REPLY": "a\nb"}),
    Case("a line break in single quotes", "REPLY='a\\\nb'\n", {"REPLY": "a\\\nb"}),
    Case("joined quotes", "REPLY='it'\"'\"'s'\n", {"REPLY": "it's"}),
    Case("quotes in the middle", 'AGENT_CLI=sh -c "a  b"\n', {"AGENT_CLI": 'sh -c "a  b"'}),
    Case(
        "a quote that opens in the middle", "REPLY=it's\nPORT=1\n", {"REPLY": "it's", "PORT": "1"}
    ),
    Case("escapes in a bare value", "REPLY=a\\ b\\\\c\\n\\#\\\n d\n", {"REPLY": "a b\\cn# d"}),
    Case("an escaped blank at the end", "REPLY=a\\  \n", {"REPLY": "a "}),
    Case("blanks before a continuation", "REPLY=a \\\n  \nPORT=1\n", {"REPLY": "a ", "PORT": "1"}),
    Case(
        "continuation of a command", "AGENT_CLI=codex \\\n  exec\n", {"AGENT_CLI": "codex   exec"}
    ),
    Case("continuation of nothing", 'REPLY=\\\n"a"\n', {"REPLY": '"a"'}),
    Case("a backslash at the end of the file", "REPLY=a\\", {"REPLY": "a"}),
    Case(
        "a backslash at the end of an open quote", 'REPLY="a\\', {"REPLY": "a"}, ("unclosed-quote",)
    ),
    Case("no expansion", "REPLY=$HOME ${PORT} `id` ~ %h\n", {"REPLY": "$HOME ${PORT} `id` ~ %h"}),
    Case("a hash in a value", "REPLY=a#b\nAPI_KEY=#k;\n", {"REPLY": "a#b", "API_KEY": "#k;"}),
    Case("other alphabets", "REPLY=grüße ☕ 👋\n", {"REPLY": "grüße ☕ 👋"}),
    Case(
        "the sample of ai-agent-proxy",
        SAMPLE,
        {
            "HOST": "0.0.0.0",
            "PORT": "7011",
            "WORKSPACE": "~/.openclaw/workspace",
            "API_KEY": "aibot_<your-key-something>",
            "AGENT_INIT_CLI": INIT_CLI,
            "AGENT_CLI": WORK_CLI,
        },
    ),
    # From here on: doubtful.
    Case("export", "export PORT=1\nREPLY=a\n", {"REPLY": "a"}, ("export",)),
    Case(
        "unclosed double quote",
        'REPLY="a\nPORT=1\n',
        {"REPLY": "a\nPORT=1\n"},
        ("unclosed-quote", "swallowed-line"),
    ),
    Case("unclosed single quote", "REPLY='a\n# c\n", {"REPLY": "a\n# c\n"}, ("unclosed-quote",)),
    Case(
        "a quote closed by the next line's",
        'REPLY="a\nAGENT_CLI="b"\n',
        {"REPLY": 'a\nAGENT_CLI=b"'},
        ("swallowed-line", "after-quote"),
    ),
    Case(
        "a continuation too many", "REPLY=a\\\nPORT=1\n", {"REPLY": "aPORT=1"}, ("swallowed-line",)
    ),
    Case("unknown key", "PROT=1\n", {"PROT": "1"}, ("unknown-key",)),
    Case("small letters", "port=1\n", {"port": "1"}, ("unknown-key",)),
    Case("double key", "PORT=1\nREPLY=a\nPORT=2\n", {"PORT": "2", "REPLY": "a"}, ("double-key",)),
    Case(
        "key and alias",
        "WORKDIR=/a\nWORKSPACE=/b\n",
        {"WORKDIR": "/a", "WORKSPACE": "/b"},
        ("alias",),
    ),
    Case(
        "a comment after a value",
        "PORT=1 # the port\n",
        {"PORT": "1 # the port"},
        ("hash-after-value",),
    ),
    Case("a comment after blanks", "REPLY= # none\n", {"REPLY": "# none"}, ("hash-after-value",)),
    Case("a comment after a quote", 'REPLY="a" # b\n', {"REPLY": "a# b"}, ("hash-after-value",)),
    Case(
        "a comment at a closing quote", "REPLY='a'# b\n", {"REPLY": "a# b"}, ("hash-after-value",)
    ),
    Case(
        "a comment in a continuation",
        "REPLY=a \\\n# b\n",
        {"REPLY": "a # b"},
        ("hash-after-value",),
    ),
    Case(
        "text after a quote",
        'AGENT_CLI="/a b/c" exec\n',
        {"AGENT_CLI": "/a b/cexec"},
        ("after-quote",),
    ),
    Case("text at a closing quote", 'REPLY="a"b\n', {"REPLY": "ab"}, ("after-quote",)),
    Case("two quoted words", 'AGENT_CLI="a" "b"\n', {"AGENT_CLI": "ab"}, ("after-quote",)),
    Case(
        "quotes in quotes",
        'AGENT_CLI="codex -c "a b""\n',
        {"AGENT_CLI": 'codex -c a b""'},
        ("after-quote",),
    ),
    Case("lone word", "PORT\nREPLY=a\n", {"REPLY": "a"}, ("lone-word",)),
    Case("lone word at the end", "REPLY=a\nPORT", {"REPLY": "a"}, ("lone-word",)),
    Case("a blank in a key", "MY PORT=1\n", {}, ("bad-key",)),
    Case("no key", "=1\n==2\nPORT=3\n", {"PORT": "3"}, ("lone-word", "bad-key")),
    Case("a key that starts with a digit", "1PORT=1\n", {}, ("bad-key",)),
    Case("byte order mark", "\ufeffPORT=1\nREPLY=a\n", {"REPLY": "a"}, ("bad-key",)),
    Case("a section", "[api]\nPORT=1\n", {"PORT": "1"}, ("lone-word",)),
    Case(
        "a comment that ends in a backslash",
        "# a\\\nPORT=1\nREPLY=a\n",
        {"PORT": "1", "REPLY": "a"},
        ("comment-backslash",),
        old={"REPLY": "a"},
    ),
    Case("a comment that ends in two backslashes", "# a\\\\\nPORT=1\n", {"PORT": "1"}),
    Case("a key of ai-agent-proxy 2.3", "KEY=k\n", {"KEY": "k"}, ("unknown-key",)),
    Case(
        "a key that means nothing here",
        "PUBLIC_URL=http://a\n",
        {"PUBLIC_URL": "http://a"},
        ("unused-key",),
    ),
]

HARMLESS = {"alias", "unused-key"}

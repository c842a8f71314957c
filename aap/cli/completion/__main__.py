"""`python -m aap.cli.completion FOLDER`: write the scripts into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from aap.cli.completion import script
from aap.shared import COMPLETIONS

for shell, (name, _) in COMPLETIONS.items():
    Path(sys.argv[1], name).write_text(script(shell), encoding="utf-8")

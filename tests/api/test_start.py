"""The first answer does not wait for what it does not need."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.api.conftest import ROOT, StartApi, environment

BARE = """
import socket
import uvicorn
from fastapi import FastAPI

app = FastAPI()

@app.post("/v1/chat/completions")
async def answer(): return {}

config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning")
uvicorn.Server(config).run(sockets=[socket.socket(fileno=3)])
"""
# Not sh: dash reads one digit of a descriptor's number.
ACTIVATE = 'exec 3<&{}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'


def loaded(code: str) -> set[str]:
    """Return the modules that `code` has loaded, by their first two names."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment({}), capture_output=True, check=True
    )
    return {".".join(name.split(".")[:2]) for name in run.stdout.decode().split()}


def test_the_hot_path_loads_neither_fastapi_nor_a_command_line() -> None:
    modules = loaded("import aap.api.main")
    heavy = {"fastapi", "pydantic", "starlette", "click", "typer", "platformdirs", "dataclasses"}
    assert not modules & heavy
    assert not {name for name in modules if name.startswith(("aap.cli", "aap.worker"))}


def test_uvicorn_is_whole_for_whoever_imports_it_later() -> None:
    assert "uvicorn.main" in loaded(
        "import aap.api.engine, uvicorn.main; uvicorn.main.run.__name__"
    )


def test_fastapi_is_loaded_by_the_first_request_that_needs_it(start_api: StartApi) -> None:
    api = start_api()
    maps = Path(f"/proc/{api.process.pid}/maps")
    for path in ("/healthz", "/nothing", "/v1/chat/completions"):
        api.ask("GET", path)
    api.post()
    assert "pydantic_core" not in maps.read_text()
    api.ask("GET", "/v1/models")
    assert "pydantic_core" in maps.read_text()


def first_answer(command: list[str], folder: Path) -> float:
    """Seconds from exec to the answer for a request that waits in the socket already."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = http.client.HTTPConnection(*server.getsockname(), timeout=20)
        connection.request("POST", "/v1/chat/completions", b"{}")
        settings = environment({"WORKSPACE": str(folder / "ws")})
        start = time.perf_counter()
        process = subprocess.Popen(
            ["bash", "-c", ACTIVATE.format(server.fileno()), "bash", sys.executable, *command],
            pass_fds=[server.fileno()], env=settings, stderr=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        try:
            assert connection.getresponse().status == 200
            return time.perf_counter() - start
        finally:
            connection.close()
            process.kill()
            process.wait()


@pytest.mark.alone
@pytest.mark.slow
def test_the_first_answer_comes_in_half_the_time_of_a_bare_fastapi_app(tmp_path: Path) -> None:
    # As an installation has it; a shell may keep Python from writing bytecode.
    subprocess.run([sys.executable, "-m", "compileall", "-q", ROOT / "aap"], check=True)
    bare = tmp_path / "bare.py"
    bare.write_text(BARE)
    pairs = [
        (first_answer(["-m", "aap.api"], tmp_path), first_answer([str(bare)], tmp_path))
        for _ in range(9)
    ]
    # The quickest of each: whatever else the machine does only ever adds.
    ratio = min(own for own, _ in pairs) / min(other for _, other in pairs)
    print(f"first answer: {ratio:.2f} of a bare FastAPI app")
    assert ratio <= 0.5

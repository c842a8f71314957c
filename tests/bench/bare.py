"""The measure of all servers: a FastAPI route that takes any body and stores nothing.

    bare.py FD

serves on the listening socket that it inherited as FD.
"""

import socket
import sys

import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/v1/chat/completions")
async def take(request: Request) -> dict[str, object]:
    """Read the body, and answer as short as OpenAI's clients allow."""
    size = len(await request.body())
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [], "size": size}


if __name__ == "__main__":
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])

"""One message by OpenAI's own client, as demo.py has its ordinary user send it.

    python demo_client.py URL openclaw|chat|responses

Every line it prints starts with the time; the last one ends with the message's id.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fixtures import bodies
from openai import OpenAI


def tell(text: str) -> None:
    print(f"{time.time():.6f} {text}", flush=True)


def answered(text: str) -> str:
    """An empty reply is as it should be: the agent sends its answer by itself, later."""
    return f"200: {text}" if text else "200, with an empty reply"


def send_openclaw(client: OpenAI) -> str:
    """A body as OpenClaw sends it: 50 kB of prompt, and somewhere in it what Ann wrote."""
    body = json.loads(bodies.direct("Could you book the table for tonight?"))
    del body["stream"]
    tell(f"POST /v1/chat/completions, streamed: {len(json.dumps(body)) // 1000} kB from OpenClaw")
    reply = ""
    for chunk in client.chat.completions.create(**body, stream=True):
        reply += "".join(choice.delta.content or "" for choice in chunk.choices)
        answer_id: str = chunk.id
    tell(answered(reply))
    return answer_id


def send_chat(client: OpenAI) -> str:
    """A plain chat completion."""
    tell("POST /v1/chat/completions")
    completion = client.chat.completions.create(
        model="aap", messages=[{"role": "user", "content": "What is the capital of France?"}]
    )
    tell(answered(completion.choices[0].message.content or ""))
    return completion.id


def send_responses(client: OpenAI) -> str:
    """A request to the Responses API."""
    tell("POST /v1/responses")
    response = client.responses.create(model="aap", input="Water the plants, please.")
    tell(answered(response.output_text))
    return response.id


def main(url: str, kind: str) -> None:
    senders = {"openclaw": send_openclaw, "chat": send_chat, "responses": send_responses}
    client = OpenAI(base_url=f"{url}/v1", api_key="none-is-needed", max_retries=0)
    answer_id = senders[kind](client)
    tell(f"the answer's id is {answer_id}")


main(*sys.argv[1:])

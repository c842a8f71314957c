"""The OpenAPI description of the routes that FastAPI does not serve.

Schemas of replies come from the very types that are sent.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI

from aap.api.body import AgentPeek, Peek
from aap.api.problems import ErrorReply
from aap.api.replies import AgentReply, ChatChunk, ChatCompletion, Response

_REF = "#/components/schemas/{name}"
_TYPES = (Peek, AgentPeek, ErrorReply, ChatCompletion, ChatChunk, Response, AgentReply)

_REFUSALS = {
    400: "Not JSON, not an object, or a field of the wrong kind.",
    401: "The API key is missing or wrong.",
    403: "The key lacks the scope; without a key: a web page of another site.",
    404: "No such model or message; or the route is off.",
    408: "The request did not arrive in time.",
    413: "The body exceeds MAX_BODY.",
    415: "A compressed body, or one that is no JSON.",
    422: "The Idempotency-Key was used with another body.",
    429: "The inbox is full. Try again after Retry-After.",
    503: "The disk is full or not writable, or too much at once. Try again after Retry-After.",
}
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "A repetition with the same API key within 24 hours is answered with the first message's "
        "id and `idempotent-replayed: true`, and stored once."
    ),
    "schema": {"type": "string", "maxLength": 255},
}


def describe(app: FastAPI) -> None:
    """Have `app` describe the other routes as well; it has all of its own by now."""
    document = app.openapi()  # kept by `app`, which will serve this very object
    _add_refusals(document)
    _add_schemas(document)
    document["paths"].update(_paths())


def _add_refusals(document: dict[str, Any]) -> None:
    """Correct what FastAPI says: text in a path is never invalid, but may name nothing."""
    for path in document["paths"].values():
        responses = path["get"]["responses"]
        responses.pop("422", None)
        responses.update({str(status): _refusal(status) for status in (401, 403, 404)})
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def _add_schemas(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    for name in ("Peek", "AgentPeek"):
        schemas[name]["additionalProperties"] = True  # what else a body holds is stored as it is
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}]


def _paths() -> dict[str, Any]:
    chat = _enqueue("Send a message as a chat completion", "Peek", "ChatCompletion", "ChatChunk")
    response = _enqueue("Send a message as a response", "Peek", "Response", None)
    agent = _enqueue("Send a message from agent to agent", "AgentPeek", "AgentReply", None)
    health = {"summary": "Tell whether the API answers", "security": [], "tags": ["health"]}
    healthy = {"description": "It does.", "content": {"application/json": {}}}
    return {
        "/v1/chat/completions": {"post": chat},
        "/v1/responses": {"post": response},
        "/agent-inbox": {"post": agent},
        "/healthz": {"get": {**health, "responses": {"200": healthy}}},
    }


def _enqueue(summary: str, request: str, reply: str, event: str | None) -> dict[str, Any]:
    # No type: of a stream, some readers hold each event against the schema, others all of it.
    stream = {"schema": {"description": f"Events, each a {event or 'part of a Response'}."}}
    content = {"application/json": _schema(reply)}
    if reply != "AgentReply":
        content["text/event-stream"] = stream
    accepted = {
        "description": "The message is on the disk.",
        "headers": {
            "x-request-id": {"description": "The message's id.", "schema": {"type": "string"}}
        },
        "content": content,
    }
    refused = {str(status): _refusal(status) for status in _REFUSALS}
    return {
        "summary": summary,
        "tags": ["messages"],
        "parameters": [_KEY_HEADER],
        "requestBody": {"required": True, "content": {"application/json": _schema(request)}},
        "responses": {"200": accepted, **refused},
    }


def _refusal(status: int) -> dict[str, Any]:
    content = {"application/json": _schema("ErrorReply")}
    return {"description": _REFUSALS[status], "content": content}


def _schema(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": _REF.format(name=name)}}

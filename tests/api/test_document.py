"""The served OpenAPI: whole, consistent, and true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import CHAT, HELLO, Api


@pytest.fixture
def document(api: Api) -> Any:
    return api.ask("GET", "/openapi.json").json


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, (dict, list)):
            yield from nodes(child)


def test_all_routes_are_described(document: Any) -> None:
    assert set(document["paths"]) == {
        CHAT,
        "/v1/responses",
        "/agent-inbox",
        "/healthz",
        "/v1/models",
        "/v1/models/{model}",
        "/v1/messages/{message_id}",
        "/v1/status",
    }
    assert document["openapi"].startswith("3.1")


def test_every_reference_leads_somewhere(document: Any) -> None:
    schemas = document["components"]["schemas"]
    found = [node["$ref"] for node in nodes(document) if "$ref" in node]
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_every_operation_has_an_id_of_its_own_or_none(document: Any) -> None:
    found = [node["operationId"] for node in nodes(document["paths"]) if "operationId" in node]
    assert len(found) == len(set(found))


def test_every_refusal_is_described(document: Any) -> None:
    described = set(document["paths"][CHAT]["post"]["responses"])
    assert {"200", "400", "401", "404", "413", "415", "422", "429", "503"} <= described


def check(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    """As much of JSON Schema as the document uses, strictly."""
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "anyOf" in schema:
        assert any(_fits(value, option, schemas) for option in schema["anyOf"]), (value, schema)
        return
    if "type" in schema:
        kinds = {
            "object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
            "null": type(None),
        }  # fmt: skip
        assert isinstance(value, kinds[schema["type"]]), (value, schema)
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", [])) <= set(value)
        assert set(value) <= set(schema["properties"])
        for name, child in value.items():
            check(child, schema["properties"][name], schemas)
    if isinstance(value, list) and "items" in schema:
        for child in value:
            check(child, schema["items"], schemas)
    if isinstance(value, str) and "pattern" in schema:
        assert re.search(schema["pattern"], value)


def _fits(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    try:
        check(value, schema, schemas)
    except AssertionError:
        return False
    return True


def test_what_is_answered_is_what_is_described(api: Api, document: Any) -> None:
    message = api.post().id
    asked = {
        ("post", CHAT, "200"): api.post(),
        ("post", CHAT, "400"): api.post(b"[]"),
        ("post", "/v1/responses", "200"): api.post({"input": "x"}, "/v1/responses"),
        ("get", "/v1/models", "200"): api.ask("GET", "/v1/models"),
        ("get", "/v1/models/{model}", "200"): api.ask("GET", "/v1/models/aap/main"),
        ("get", "/v1/messages/{message_id}", "200"): api.ask("GET", f"/v1/messages/{message}"),
        ("get", "/v1/status", "200"): api.ask("GET", "/v1/status"),
        ("get", "/v1/messages/{message_id}", "404"): api.ask("GET", "/v1/messages/none"),
    }
    for (method, path, status), reply in asked.items():
        assert reply.status == int(status)
        content = document["paths"][path][method]["responses"][status]["content"]
        check(reply.json, content["application/json"]["schema"], document["components"]["schemas"])


def test_what_is_described_as_a_request_is_taken(api: Api, document: Any) -> None:
    schema = document["components"]["schemas"]["Peek"]
    assert set(schema["properties"]) == {"model", "stream", "stream_options"}
    assert schema["additionalProperties"] is True
    assert api.post({**HELLO, "anything": ["else"]}).status == 200

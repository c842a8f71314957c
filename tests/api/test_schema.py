"""What the served OpenAPI says of every route is so, for requests that schemathesis makes up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from aap.config import keys_file
from aap.config.keys import Scope, add_key
from tests.api.conftest import Api, api_starter
from tests.conftest import shelter

KEY = "aap_a-key-of-some-length"
EXAMPLES = 30
ROUTES = {
    "POST /v1/chat/completions",
    "POST /v1/responses",
    "POST /agent-inbox",
    "GET /healthz",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /v1/messages/{message_id}",
    "GET /v1/status",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with a key that may do everything; it must survive all of it."""
    folder = tmp_path_factory.mktemp("schema")
    with pytest.MonkeyPatch.context() as patch:
        shelter(patch, folder)
        add_key(keys_file(), "all", KEY, scopes=[Scope.ADMIN])
        with api_starter(folder) as start:
            api = start(A2A_KEY=KEY)
            yield api
    assert " fault " not in api.log


@pytest.fixture(scope="module")
def operations(guarded: Api) -> dict[str, Any]:
    """All routes that are described."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{guarded.port}/openapi.json")
    found = [result.ok() for result in schema.get_all_operations()]
    return {operation.label: operation for operation in found}


@pytest.mark.slow
def test_all_routes_are_tried(operations: dict[str, Any]) -> None:
    assert set(operations) == ROUTES


@pytest.mark.slow
@pytest.mark.parametrize("route", sorted(ROUTES))
def test_a_route_answers_as_it_is_described(operations: dict[str, Any], route: str) -> None:
    call_and_check(operations[route], GenerationMode.POSITIVE)


@pytest.mark.slow
@pytest.mark.parametrize("route", sorted(name for name in ROUTES if "POST" in name or "{" in name))
def test_what_is_not_as_described_is_refused_as_described(
    operations: dict[str, Any], route: str
) -> None:
    call_and_check(operations[route], GenerationMode.NEGATIVE)


def call_and_check(operation: Any, mode: GenerationMode) -> None:
    """Call a route with what its description allows, or does not; look at each answer."""

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        derandomize=True, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(mode))
    def call(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:  # a key that came with another body is a 422
            case.headers.pop("Idempotency-Key", None)
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, timeout=5)

    call()

"""The routes that show something: models, receipts, the API's own description.

Loaded when one of them is first asked for: FastAPI takes longer to import than all
the rest of the API.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, FiniteFloat, ValidationError
from starlette.exceptions import HTTPException

from aap import __version__, api
from aap.api.document import describe
from aap.api.problems import NotFoundError, RequestError, UnavailableError
from aap.errors import NotFoundError as NoSuchMessageError
from aap.errors import UsageError
from aap.inbox import Entry, Spool, read_pause
from aap.message import ID_CHARS, State, id_time

Spools = Mapping[str, Spool]
Word = Annotated[str, Field(pattern="^[a-z-]{1,32}$")]

_BEGINNING = 1_700_000_000  # models need a date of creation


class Model(BaseModel):
    """A workspace, as a model that clients can choose."""

    id: str = Field(examples=["aap/main"])
    object: Literal["model"] = "model"
    created: int = _BEGINNING
    owned_by: str = "aap"


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


class Event(BaseModel):
    """Something that happened to a message, without a word of what was said.

    Notes hold more: a reply's text and where it went, and reasons, in which an agent or a
    messenger may quote either.
    """

    event: Word = Field(description="What happened.", examples=["deferred", "failed", "reply"])
    time: FiniteFloat = Field(description="When, in seconds since 1970.")
    state: Word | None = Field(None, description="How a reply stands, as sending or sent.")


class Receipt(BaseModel):
    """Where a message is on its way. It may move on at any time."""

    id: str
    object: Literal["message"] = "message"
    workspace: str
    state: State
    attempts: int = Field(description="Runs that failed on it.")
    created_at: datetime = Field(description="When it was accepted.")
    retry_at: datetime | None = Field(description="When a deferred message is tried again.")
    events: list[Event] = Field(description="What is remembered of it, oldest first.")


class Workspace(BaseModel):
    """How one workspace stands."""

    name: str
    messages: dict[State, int] = Field(description="How many there are, by state.")
    paused: bool = Field(description="Nothing is handed to the agent.")


class Status(BaseModel):
    """How all workspaces stand."""

    object: Literal["status"] = "status"
    version: str = __version__
    workspaces: list[Workspace]


def make_app(spools: Spools) -> FastAPI:
    """Return the app that serves all GET routes but `/healthz`, for `spools` by workspace."""
    app = FastAPI(
        title="aap",
        version=__version__,
        description=api.__doc__,
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_exception_handler(RequestError, _answer_problem)
    app.add_exception_handler(OSError, _answer_os_error)
    app.add_exception_handler(HTTPException, _answer_exception)
    app.add_exception_handler(Exception, _answer_exception)
    for prefix in ("/v1", ""):
        _add_models(app, spools, prefix)
    _add_receipts(app, spools)
    _add_status(app, spools)
    describe(app)
    return app


def _add_models(app: FastAPI, spools: Spools, prefix: str) -> None:
    ids = ["aap", "manager", *(f"aap/{name}" for name in spools)]
    shown = prefix != ""

    @app.get(f"{prefix}/models", tags=["models"], include_in_schema=shown)
    def list_models() -> ModelList:
        return ModelList(data=[Model(id=model) for model in ids])

    @app.get(f"{prefix}/models/{{model:path}}", tags=["models"], include_in_schema=shown)
    def get_model(model: str) -> Model:
        if model not in ids:
            raise NotFoundError(
                f"The model {model[:100]!r} does not exist.", code="model_not_found", param="model"
            )
        return Model(id=model)


def _add_receipts(app: FastAPI, spools: Spools) -> None:
    @app.get("/v1/messages/{message_id}", tags=["messages"])
    def get_receipt(message_id: str) -> Receipt:
        while True:
            workspace, entry = _find(spools, message_id)
            with suppress(FileNotFoundError):  # it moved on since
                return _receipt(workspace, spools[workspace], entry)


def _add_status(app: FastAPI, spools: Spools) -> None:
    @app.get("/v1/status", tags=["health"])
    def get_status() -> Status:
        return Status(workspaces=[_workspace(name, spool) for name, spool in spools.items()])


def _workspace(name: str, spool: Spool) -> Workspace:
    messages = {state: spool.count(state) for state in State}
    return Workspace(name=name, messages=messages, paused=read_pause(spool.root) is not None)


def _find(spools: Spools, message_id: str) -> tuple[str, Entry]:
    for name, spool in spools.items():
        try:
            entry = spool.find(message_id)
        except (NoSuchMessageError, UsageError):
            continue
        if entry.id == message_id and not entry.is_foreign:
            return name, entry
    raise NotFoundError(f"There is no message {message_id[:ID_CHARS]!r}.")


def _receipt(workspace: str, spool: Spool, entry: Entry) -> Receipt:
    due = spool.retry_at(entry)
    return Receipt(
        id=entry.id,
        workspace=workspace,
        state=entry.state,
        attempts=entry.attempts,
        created_at=_moment(id_time(entry.id)),
        retry_at=None if due is None else _moment(due),
        events=list(_events(spool.notes(entry.id))),
    )


def _events(notes: list[dict[str, Any]]) -> Iterator[Event]:
    """Read what may be told of notes, in which an agent can write as well."""
    for note in notes:
        with suppress(ValidationError):
            yield Event.model_validate(note)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _answer_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 -- registered for nothing else
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return Response(error.body(), error.status, headers, "application/json")


def _answer_os_error(request: Request, error: Exception) -> Response:
    reason = os.strerror(getattr(error, "errno", None) or errno.EIO)
    said = f"The messages could not be looked at: {reason}."
    return _answer_problem(request, UnavailableError(said, retry_after=10, code="not_readable"))


def _answer_exception(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 404:
        return _answer_problem(request, NotFoundError("There is nothing here."))
    problem = UnavailableError("aap failed.", retry_after=10)
    return Response(problem.body(), 500, media_type="application/json")

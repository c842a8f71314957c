"""Refusals, in the shape that OpenAI's clients parse.

SDKs retry 408, 409, 429 and 5xx by themselves, so a fault that will not pass is
never one of these, and one that will pass always is.
"""

from __future__ import annotations

import msgspec


class ErrorBody(msgspec.Struct):
    """What went wrong, for a program (`code`) and for a person (`message`)."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(msgspec.Struct):
    """The body of every refusal."""

    error: ErrorBody


class RequestError(Exception):
    """A request that is refused; raised anywhere below the front, answered there."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.headers = headers

    def body(self) -> bytes:
        """Return the JSON body."""
        return msgspec.json.encode(
            ErrorReply(ErrorBody(self.message, self.type, self.param, self.code))
        )


class BadRequestError(RequestError):
    """Not JSON, not an object, or a field of the wrong kind."""


class UnauthorizedError(RequestError):
    """The key is missing or wrong. Never for anything else: gateways disable the key on it."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers=((b"www-authenticate", b"Bearer"),))


class ForbiddenError(RequestError):
    """A web page of another origin speaks through somebody's browser, or a key lacks a scope."""

    status = 403
    type = "permission_error"
    code = "forbidden_origin"


class NotFoundError(RequestError):
    """No such route, model or message."""

    status = 404
    code = "not_found"


class MethodNotAllowedError(RequestError):
    """The route exists, but not for this method."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(
            f"{method} is not allowed here, {allowed} is.",
            headers=((b"allow", allowed.encode()),),
        )


class RequestTimeoutError(RequestError):
    """The request did not arrive in time. Nothing of it was stored."""

    status = 408
    code = "request_timeout"


class BodyTooLargeError(RequestError):
    """The body exceeds MAX_BODY."""

    status = 413
    code = "request_too_large"


class UnsupportedMediaError(RequestError):
    """A compressed body, or one that says that it is no JSON."""

    status = 415
    code = "unsupported_media_type"


class KeyReusedError(RequestError):
    """The same Idempotency-Key came with another body."""

    status = 422
    code = "idempotency_key_reused"


class HeaderTooLargeError(RequestError):
    """The request's head exceeds what a connection may hold."""

    status = 431
    code = "header_too_large"


class PassingError(RequestError):
    """A refusal that ends by itself: the client may try again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code, headers=((b"retry-after", str(retry_after).encode()),))


class InboxFullError(PassingError):
    """The inbox holds INBOX_MAX messages or INBOX_MAX_BYTES."""

    status = 429
    type = "rate_limit_error"
    code = "inbox_full"


class UnavailableError(PassingError):
    """Disk full or not writable, or too many requests at once."""

    status = 503
    type = "server_error"
    code = "unavailable"

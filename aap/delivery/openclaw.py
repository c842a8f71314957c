"""Sending through OpenClaw: its gateway by HTTP, else its command.

The gateway answers in half a second. The command takes seconds of CPU, but finds ways
that aap does not know: TLS, another machine, secrets kept elsewhere. It is tried only
where the gateway surely sent nothing: what failed there in the middle, 2026.9.6 keeps
in a queue of its own and sends again later.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from aap import openclaw, process
from aap.delivery.outcome import FAILED, SENT, UNKNOWN, Letter, Outcome, find_id, judge_error
from aap.errors import AapError, NotFoundError, TryAgainError
from aap.openclaw import Gateway

Json = dict[str, Any]

COMMAND = "openclaw"
# The kernel's limit for one argument, MAX_ARG_STRLEN, with the zero at its end.
ARGUMENT_BYTES = 128 * 1024 - 1
BODY_BYTES = 2 << 20  # the gateway's limit for a request

_ANSWER_BYTES = 1 << 20
# Answers that come before the gateway has started to send: no such key, no such tool
# by its policy, too many wrong keys, not ready.
_NOT_BEGUN = {401, 404, 405, 413, 429, 503}


class NotTakenError(Exception):
    """The gateway did not take the letter: nothing was sent."""


def send(letter: Letter, timeout: float, environ: Mapping[str, str] = os.environ) -> Outcome:
    """Send a letter; never raises for what the outside does. `timeout` is for each way."""
    try:
        gateway = openclaw.find_gateway(environ)
        return send_by_gateway(gateway, letter, timeout)
    except (NotTakenError, AapError) as error:
        outcome = send_by_command(letter, timeout, environ)
        if outcome.state != FAILED:
            return outcome
        return outcome._replace(reason=f"{outcome.reason} (and its gateway: {error})")


# The gateway


def send_by_gateway(gateway: Gateway, letter: Letter, timeout: float) -> Outcome:
    """Post a letter to the gateway. Raises NotTakenError where it took none."""
    arguments = _arguments(letter)
    try:
        status, answer = _invoke(gateway, arguments, timeout)
    except TryAgainError as error:
        return Outcome(UNKNOWN, "gateway", reason=str(error))
    outcome = _judge(status, answer)
    if outcome.state == UNKNOWN and status == 500 and _is_refused_dry(gateway, arguments, timeout):
        raise NotTakenError(outcome.reason)
    return outcome


def _is_refused_dry(gateway: Gateway, arguments: Json, timeout: float) -> bool:
    """Whether the gateway will not even pretend to send this.

    It answers 500 "tool execution failed" to everything: an account that does not exist,
    as well as a chat service that broke off in the middle. A dry run does what comes before
    the sending; where that fails, nothing can have been sent.
    """
    try:
        status, _ = _invoke(gateway, {**arguments, "dryRun": True}, timeout)
    except (TryAgainError, NotTakenError):
        return False
    return status == 500


def _invoke(gateway: Gateway, arguments: Json, timeout: float) -> tuple[int, Any]:
    """Call the gateway's tool; return status and answer.

    Raises NotTakenError where the call did not arrive, TryAgainError where nothing came back.
    """
    body = json.dumps({"tool": "message", "action": "send", "args": arguments}).encode()
    if len(body) > BODY_BYTES:
        raise NotTakenError("the text is longer than its 2 MB")
    headers = {"Content-Type": "application/json"}
    if gateway.secret:
        headers["Authorization"] = f"Bearer {gateway.secret}"
    status, raw = _post(gateway, body, headers, timeout)
    try:
        return status, json.loads(raw)
    except ValueError:
        return status, {}


def _arguments(letter: Letter) -> Json:
    arguments = {
        "channel": _channel(letter),
        "target": letter.target,
        "accountId": letter.account,
        "message": letter.text,
        "media": letter.media,
        "replyTo": letter.reply_to,
    }
    return {name: text for name, text in arguments.items() if text}


def _channel(letter: Letter) -> str:
    # A body of OpenClaw's without a channel: with one channel set up, that is the one.
    return "" if letter.channel == "openclaw" else letter.channel


def _post(
    gateway: Gateway, body: bytes, headers: dict[str, str], timeout: float
) -> tuple[int, bytes]:
    """Return status and answer; raises TryAgainError where it is not known what became of it."""
    import http.client

    connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=timeout)
    try:
        try:
            connection.request("POST", "/tools/invoke", body, headers)
        except (OSError, ValueError) as error:  # a request that is not whole is not acted upon
            raise NotTakenError(getattr(error, "strerror", None) or str(error)) from None
        try:
            response = connection.getresponse()
            return response.status, response.read(_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            late = isinstance(error, TimeoutError)
            what = f"gave no answer in {timeout:g} s" if late else "broke the connection off"
            raise TryAgainError(f"the gateway took it and {what}") from None
    finally:
        connection.close()


def _judge(status: int, answer: Any) -> Outcome:
    if status in _NOT_BEGUN:
        raise NotTakenError(f"{status}, {judge_error(answer, 'gateway').reason}")
    if status == 200:
        return _judge_result(answer)
    outcome = judge_error(answer, "gateway")
    if outcome.state == FAILED and status >= 500:
        # The tool had begun; which of its steps failed is not told.
        return outcome._replace(state=UNKNOWN, reason=f"{status}, {outcome.reason} (openclaw logs)")
    return outcome


def _judge_result(answer: Any) -> Outcome:
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or answer.get("ok") is not True:
        return Outcome(UNKNOWN, "gateway", reason="an answer that is not the gateway's")
    details = result.get("details") if isinstance(result, dict) else None
    if isinstance(details, dict) and _is_failure(details):
        return judge_error(details, "gateway")
    return Outcome(SENT, "gateway", find_id(result) or _id_in_text(result))


def _is_failure(details: Json) -> bool:
    delivery = details.get("messageDelivery")
    partial = isinstance(delivery, dict) and delivery.get("partialDelivery") is True
    failed = details.get("deliveryStatus") not in {None, "sent"}
    return details.get("ok") is False or partial or failed


def _id_in_text(result: Any) -> str:
    """What the tool says as text is JSON too."""
    parts = result.get("content") if isinstance(result, dict) else None
    for part in parts if isinstance(parts, list) else []:
        try:
            found = find_id(json.loads(part["text"]))
        except (ValueError, TypeError, KeyError):
            continue
        if found:
            return found
    return ""


# The command


def send_by_command(
    letter: Letter, timeout: float, environ: Mapping[str, str] = os.environ
) -> Outcome:
    """Run `openclaw message send`."""
    argv = _argv(letter)
    if max(len(word.encode("utf-8", "replace")) for word in argv) > ARGUMENT_BYTES:
        return Outcome(
            FAILED, "openclaw", reason="the text is too long for the command openclaw (128 KiB)"
        )
    try:
        ended = process.run(argv, timeout=timeout, environ=environ, family=True)
    except NotFoundError:
        return Outcome(
            FAILED, "openclaw", reason="the command openclaw is not on PATH", is_passing=True
        )
    except OSError as error:
        return Outcome(FAILED, "openclaw", reason=f"cannot run openclaw: {error.strerror}")
    except TryAgainError:
        return Outcome(UNKNOWN, "openclaw", reason=f"openclaw did not end within {timeout:g} s")
    return _judge_command(ended)


def _argv(letter: Letter) -> list[str]:
    # `--name=text` in one word: a text that starts with a dash stays a text.
    options = {
        "channel": _channel(letter),
        "target": letter.target,
        "account": letter.account,
        "message": letter.text,
        "media": letter.media,
        "reply-to": letter.reply_to,
    }
    words = [f"--{name}={text}" for name, text in options.items() if text]
    return [COMMAND, "message", "send", *words, "--json"]


def _judge_command(ended: process.Outcome) -> Outcome:
    answer = _last_object(ended.out) or _last_object(ended.err)
    if ended.code < 0 or ended.code > 128:
        return Outcome(UNKNOWN, "openclaw", reason=f"openclaw was killed ({ended.code})")
    if answer is None:
        state = SENT if ended.ok else FAILED
        return Outcome(state, "openclaw", reason="" if ended.ok else ended.complaint[:500])
    if ended.ok and answer.get("ok") is not False:
        return Outcome(SENT, "openclaw", find_id(answer))
    outcome = judge_error(answer, "openclaw")
    # 2026.9.6 wants its gateway for some channels, and asks it before anything else.
    return outcome._replace(is_passing="ECONNREFUSED" in outcome.reason)


def _last_object(text: str) -> dict[str, Any] | None:
    """Return the last JSON object that begins a line; warnings may stand around it."""
    decoder = json.JSONDecoder()
    found = None
    at = 0
    while (at := text.find("{", at)) >= 0:
        if at and text[at - 1] != "\n":
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
            found = value if isinstance(value, dict) else found
        except (ValueError, RecursionError):
            at += 1
    return found

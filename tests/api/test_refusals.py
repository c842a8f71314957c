"""Bad input: refused with an honest status, in OpenAI's shape, and never enqueued."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from aap.message import State
from tests.api.conftest import CHAT, HELLO, Api, StartApi

DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NOT_JSON = {
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "a number": b"1",
    "NaN": b"NaN",
    "an endless number": b"1e999",
    "NaN inside": b'{"a":NaN}',
    "Infinity inside": b'{"a":-Infinity}',
    "nothing": b"",
    "half an object": b'{"model":"aap"',
    "two objects": b"{}{}",
    "a trailing comma": b'{"a":1,}',
    "a control character": b'{"a":"\x01"}',
    "invalid UTF-8": b'{"a":"\xff"}',
    "UTF-8 of a surrogate": b'{"a":"\xed\xa0\x80"}',
    "UTF-16": '{"model":"aap"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "100,000 brackets": DEEP,
    "5000 digits": b'{"a":' + b"7" * 5000 + b"}",
    "5000 digits after a string of digits": b'{"b":"'
    + b"1" * 9000
    + b'","a":'
    + b"7" * 5000
    + b"}",
    "a model that is no text": b'{"model":5}',
    "a stream that is no flag": b'{"stream":"yes"}',
}


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_object_is_a_400(api: Api, raw: bytes) -> None:
    reply = api.post(raw)
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert reply.error["type"] == "invalid_request_error"
    assert api.inbox == []


def test_the_field_at_fault_is_named(api: Api) -> None:
    assert api.post(b'{"model":5}').error["param"] == "model"
    assert api.post(b'{"stream_options":{"include_usage":1}}').error["param"] == (
        "stream_options.include_usage"
    )


GOOD = {
    "a lone surrogate": b'{"model":"aap","user":"\\ud800"}',
    "a lone surrogate before text": b'{"user":"\\uDC00 x","model":"aap"}',
    "an escaped surrogate": b'{"user":"\\\\ud800","model":"aap"}',
    "5000 digits in a string": b'{"user":"' + b"7" * 5000 + b'"}',
    "4300 digits": b'{"a":' + b"7" * 4300 + b"}",
    "a float without end": b'{"a":1e999}',
    "a key twice": b'{"model":"nobody","model":"aap"}',
    "white space around": b" \r\n{} \t",
    "unknown parts": b'{"messages":[{"role":"tool","content":[{"type":"odd"},null]},7]}',
}


@pytest.mark.parametrize("raw", GOOD.values(), ids=GOOD)
def test_valid_json_is_taken_as_it_is(api: Api, raw: bytes) -> None:
    assert api.post(raw).status == 200
    assert api.inbox == [raw]
    json.loads(raw)  # and whoever reads it later can


def test_a_compressed_body_is_a_415(api: Api) -> None:
    packed = gzip.compress(json.dumps(HELLO).encode())
    reply = api.post(packed, content_encoding="gzip")
    assert reply.status == 415
    assert "gzip" in reply.error["message"]
    assert api.inbox == []


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "image/png", "text/html"])
def test_a_body_that_says_it_is_no_json_is_a_415(api: Api, kind: str) -> None:
    assert api.post(HELLO, content_type=kind).status == 415
    assert api.inbox == []


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"],
)
def test_what_curl_and_sdks_say_of_json_is_taken(api: Api, kind: str) -> None:
    assert api.post(HELLO, content_type=kind).status == 200


def test_unknown_paths_are_a_404(api: Api) -> None:
    for path in (
        "/",
        "/v1",
        "/v1/embeddings",
        "/v1/chat/completions/",
        "/docs",
        "/v1/openapi.json",
    ):
        reply = api.ask("GET", path)
        assert (reply.status, reply.error["code"]) == (404, "not_found"), path


def test_wrong_methods_are_a_405_that_names_the_right_one(api: Api) -> None:
    for path in (CHAT, "/v1/responses", "/agent-inbox"):
        reply = api.ask("GET", path)
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
    for path in ("/v1/models", "/v1/models/aap", "/healthz", "/openapi.json"):
        reply = api.post(HELLO, path)
        assert reply.status == 405
        assert "GET" in reply.headers["allow"]
        assert reply.error["code"] == "method_not_allowed"


def test_an_unknown_model_is_a_404_that_names_the_known_ones(api: Api) -> None:
    for model in ("gpt-4o", "aap/other", "main", "", "AAP", "aap/"):
        reply = api.post({**HELLO, "model": model})
        assert (reply.status, reply.error["code"]) == (404, "model_not_found")
        assert "aap/main" in reply.error["message"]
    assert api.inbox == []


def test_a_body_over_the_limit_is_a_413_before_it_is_sent(start_api: StartApi) -> None:
    api = start_api(MAX_BODY="10K")
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10241\r\n\r\n"
    answer = api.raw(head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert api.post(b'{"a":"' + b"x" * 10_232 + b'"}').status == 200
    assert api.post(b'{"a":"' + b"x" * 10_233 + b'"}').status == 413
    assert len(api.inbox) == 1


def test_a_client_that_sends_all_before_it_reads_still_reads_why(start_api: StartApi) -> None:
    api = start_api(MAX_BODY="1M", API_KEY="right")
    large = b'{"a":"' + b"x" * 30_000_000 + b'"}'
    assert api.post(large, authorization="Bearer right").status == 413
    assert api.post(large, authorization="Bearer wrong").status == 401


INVALID_HTTP = {
    "both lengths": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a huge length": b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a folded header": b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "a space before the colon": b"Content-Length : 2\r\n\r\n{}",
    "a NUL": b"X: a\x00b\r\n\r\n",
    "a chunk that is none": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an unknown last coding": b"Transfer-Encoding: chunked, gzip\r\n\r\n",
}


@pytest.mark.parametrize("rest", INVALID_HTTP.values(), ids=INVALID_HTTP)
def test_invalid_http_is_a_400_and_the_end_of_the_connection(api: Api, rest: bytes) -> None:
    answer = api.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + rest)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_http"' in answer
    assert b"<reset>" not in answer
    assert api.inbox == []


def test_a_head_without_end_is_a_431(api: Api) -> None:
    answer = api.raw(b"GET / HTTP/1.1\r\nX: " + b"x" * 400_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_tunnel_is_refused(api: Api) -> None:
    assert api.raw(b"CONNECT a:1 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_an_upgrade_is_ignored_and_its_body_kept(api: Api) -> None:
    # Java's HttpClient asks for HTTP/2 so with every plain POST.
    body = b'{"model":"aap"}'
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
        b"Content-Length: %d\r\n" % len(body)
    )
    kept = api.raw(head + b"\r\n" + body[:5], body[5:] + b"GET / HTTP/1.0\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", kept) == [b"200", b"404"]
    assert api.inbox == [body]


def test_a_trailer_is_no_header(start_api: StartApi) -> None:
    api = start_api(API_KEY="right")
    answer = api.raw(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer right\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_pipelined_requests_are_answered_in_order(api: Api) -> None:
    def one(body: bytes, more: bytes = b"") -> bytes:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
        return head + more + b"\r\n" + body

    last = one(b'{"n":3}', b"Connection: close\r\n")
    answers = api.raw(one(b'{"n":1}') + one(b"[]") + one(b'{"n":2}') + last)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"400", b"200", b"200"]
    assert api.inbox == [b'{"n":1}', b'{"n":2}', b'{"n":3}']


def test_garbage_behind_a_request_does_not_spoil_its_answer(api: Api) -> None:
    body = b'{"n":1}'
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    answers = api.raw(head + body + b"\x00\x01garbage\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200"]
    assert len(api.inbox) == 1


def test_half_a_body_is_never_a_message(api: Api) -> None:
    body = json.dumps(HELLO).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) + 1}\r\n\r\n".encode()
    connection = api.connect()
    connection.connect()
    connection.sock.sendall(head + body)
    connection.close()
    assert api.post().status == 200
    assert len(api.inbox) == 1


def test_a_client_that_expects_100_gets_it_only_if_its_key_is_right(start_api: StartApi) -> None:
    api = start_api(API_KEY="right")
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        "Connection: close\r\nContent-Length: 2\r\nAuthorization: Bearer {}\r\n\r\n"
    )
    connection = api.connect()
    connection.connect()
    connection.sock.sendall(head.format("right").encode())
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sock.sendall(b"{}")
    assert connection.sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    connection.close()
    assert api.raw(head.format("wrong").encode()).startswith(b"HTTP/1.1 401 ")


def test_refusals_do_not_fill_the_log(start_api: StartApi) -> None:
    api = start_api()
    for _ in range(100):
        assert api.ask("GET", "/nothing").status == 404
    assert api.log.count("refused") <= 21


def test_nothing_that_was_refused_left_a_trace(api: Api) -> None:
    for raw in NOT_JSON.values():
        api.post(raw)
    assert list(api.spool.folder(State.INBOX).iterdir()) == []

"""Attachments: listed without their content, decoded when asked for."""

import base64
import json

import pytest
from fixtures import bodies
from hypothesis import given
from hypothesis import strategies as st

from aap.bodies import Attachment, attachments, digest
from aap.errors import NotFoundError, UsageError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PDF = b"%PDF-1.7\n" + b"\xfb\xff\xfe" * 333


def b64(data):
    return base64.b64encode(data).decode()


def url(kind, data):
    return f"data:{kind};base64,{b64(data)}"


def body(*parts):
    content = [{"type": "text", "text": "see"}, *parts]
    return bodies.dump({"messages": [{"role": "user", "content": content}]})


def one(part):
    (found,) = attachments(body(part))
    return found


@pytest.mark.parametrize(
    ("part", "kind", "content"),
    [
        ({"type": "image_url", "image_url": {"url": url("image/png", PNG)}}, "image/png", PNG),
        ({"type": "image_url", "image_url": url("image/png", PNG)}, "image/png", PNG),
        ({"type": "input_image", "image_url": url("image/webp", PNG)}, "image/webp", PNG),
        ({"type": "input_image", "image_url": b64(PNG)}, "image", PNG),
        ({"type": "input_audio", "input_audio": {"data": b64(PDF), "format": "ogg"}},
         "audio/ogg", PDF),
        ({"type": "input_audio", "data": url("audio/wav", PDF)}, "audio/wav", PDF),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": url("application/pdf", PDF)}},
         "application/pdf", PDF),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": b64(PDF)}}, "file", PDF),
        ({"type": "input_file", "filename": "a.pdf", "file_data": url("application/pdf", PDF)},
         "application/pdf", PDF),
        ({"type": "input_file", "file_url": url("text/csv", PDF)}, "text/csv", PDF),
        ({"type": "video_url", "video_url": {"url": url("video/mp4", PDF)}}, "video/mp4", PDF),
        ({"type": "file", "file": {"file_data": "data:text/plain,a%20b%C3%A9"}},
         "text/plain", b"a b\xc3\xa9"),
        ({"type": "file", "file": {"file_data": "data:,"}}, "file", None),
        ({"type": "image_url", "image_url": "DATA:image/PNG;charset=x;BASE64," + b64(PNG)},
         "image/PNG", PNG),
    ],
)  # fmt: skip
def test_the_content_comes_out_as_it_went_in(part, kind, content):
    found = one(part)
    assert found.type == kind
    if content is None:
        assert found.size is None
        return
    assert found.content() == content
    assert found.size == len(content)
    (words,) = digest(body(part)).attachments
    assert len(words) < 60
    assert b64(content)[:12] not in words


@given(st.binary(min_size=1, max_size=200), st.booleans(), st.booleans())
def test_base64_is_read_as_clients_write_it(data, safe, padded):
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(data).decode()
    wrapped = "\r\n".join(text[i : i + 60] for i in range(0, len(text), 60))
    part = {"type": "input_audio", "input_audio": {"data": wrapped if padded else text.rstrip("=")}}
    assert one(part).content() == data


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
         "https://x.example/a.png"),
        ({"type": "input_image", "file_id": "file-abc"}, "file-abc"),
        ({"type": "input_file", "file_url": "HTTP://x.example/b"}, "HTTP://x.example/b"),
        ({"type": "file", "file": {"file_id": "file-9"}}, "file-9"),
        ({"type": "file"}, ""),
        ({"type": "input_image"}, ""),
    ],
)  # fmt: skip
def test_what_is_elsewhere_is_listed_and_not_fetched(part, where):
    found = one(part)
    assert (found.url, found.size) == (where, None)
    with pytest.raises(NotFoundError, match="does not fetch"):
        found.content()


@pytest.mark.parametrize("data", ["a", "****", "\ud800\u00e9", "a=b=c"])
def test_broken_base64_is_said(data):
    with pytest.raises(UsageError, match="no base64"):
        Attachment("image", data=data).content()


@pytest.mark.parametrize("api", ["completions", "responses"])
@pytest.mark.parametrize("version", ["9.6", "8.2"])
def test_the_attachments_of_an_openclaw_message_are_those_of_its_words(api, version):
    picture = (
        {"type": "image_url", "image_url": {"url": url("image/png", PNG)}}
        if api == "completions"
        else {"type": "input_image", "image_url": url("image/png", PNG)}
    )
    words = [{"type": "text", "text": bodies.said("see the plan", bodies.ANN)}, picture]
    block = bodies.block(bodies.info("telegram:42", "501", bodies.ANN), version)
    turns = [("user", words), ("user", [{"type": "text", "text": block}])]
    raw = bodies.request(bodies.system_prompt(bodies.meta()), turns, api=api)
    (found,) = attachments(raw)
    assert found.content() == PNG
    assert digest(raw).text == "see the plan"
    assert digest(raw).attachments == ("image/png 10 kB",)


values = st.none() | st.integers() | st.text(max_size=20) | st.just("data:;base64,") | st.just({})


@given(
    st.sampled_from(["image_url", "input_image", "input_audio", "file", "input_file", "video_url"]),
    st.dictionaries(
        st.sampled_from(["image_url", "url", "file", "file_data", "filename", "file_id", "data",
                         "input_audio", "format", "file_url", "detail"]),
        values | st.dictionaries(st.sampled_from(["url", "data", "format", "file_data"]), values),
    ),
)  # fmt: skip
def test_no_part_makes_listing_fail(kind, part):
    raw = json.dumps({"messages": [{"role": "user", "content": [{**part, "type": kind}]}]}).encode()
    listed = attachments(raw)
    assert len(listed) == len(digest(raw).attachments) == 1
    json.dumps(listed[0].facts()).encode()


def test_a_hundred_pictures_are_listed_up_to_fifty():
    picture = {"type": "input_image", "image_url": url("image/png", b"x")}
    assert len(attachments(body(*[picture] * 100))) == 50


def test_bodies_without_attachments_have_none():
    for raw in (b"", b"[]", b"\xff", bodies.direct(), bodies.plain(), b'{"messages":5}'):
        assert attachments(raw) == []

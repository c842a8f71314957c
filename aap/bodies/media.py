"""What is attached to a message: listed in a few words, decoded when it is asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from aap.bodies.parts import Turn, first, line, mapping, string
from aap.errors import NotFoundError, UsageError

_MAX_LISTED = 50
_URL_CHARS = 2000
_NAMES = ("http:", "https:", "file:", "gs:", "s3:")  # what is elsewhere; aap fetches nothing


class Attachment(NamedTuple):
    """One attachment.

    `type` is what the client calls it ("image/png", "image", "file"). `data` is its
    base64, or with `is_text` its percent-encoded text; empty where the body only has
    the `url` or id of it.
    """

    type: str
    name: str = ""
    url: str = ""
    data: str = ""
    is_text: bool = False

    @property
    def size(self) -> int | None:
        """Bytes of the content, None if it is not in the body."""
        if not self.data:
            return None
        if self.is_text:
            return len(self.content())
        return len(self.data) * 3 // 4 - self.data[-2:].count("=")

    def facts(self) -> dict[str, object]:
        """Return what a program wants to know, without the content."""
        facts = {"type": self.type, "size": self.size, "name": self.name or None}
        return {**facts, "url": self.url or None}

    def content(self) -> bytes:
        """Decode it. Raises NotFoundError if it is not in the body, UsageError if it is broken."""
        if not self.data:
            where = f": {line(self.url)}" if self.url else ""
            raise NotFoundError(
                f"the body has only a reference to it, which aap does not fetch{where}"
            )
        if self.is_text:
            from urllib.parse import unquote_to_bytes

            return unquote_to_bytes(self.data.encode("utf-8", "replace"))
        return _decode(self.data)


def read(turn: Turn) -> list[Attachment]:
    """Return the attachments of a turn, in order."""
    found = (attached for part in turn.parts if (attached := _read(part)))
    return [attached for _, attached in zip(range(_MAX_LISTED), found, strict=False)]


def describe(turn: Turn) -> tuple[str, ...]:
    """Describe the attachments of a turn, in order, without their content."""
    return tuple(map(_describe, read(turn)))


def _read(part: dict[str, Any]) -> Attachment | None:
    kind = string(part.get("type"))
    if kind in {"image_url", "input_image", "video_url", "audio_url"}:
        key = "image_url" if kind == "input_image" else kind
        url = first(mapping(part.get(key)).get("url"), part.get(key), part.get("file_id"))
        return _content(url, key.removesuffix("_url"))
    if kind == "input_audio":
        audio = mapping(part.get("input_audio")) or part
        media = f"audio/{line(audio.get('format')) or 'unknown'}"
        return _content(string(audio.get("data")), media)
    if kind in {"file", "input_file"}:
        return _read_file(mapping(part.get("file")) or part)
    return None


def _read_file(file: dict[str, Any]) -> Attachment:
    name = line(file.get("filename"))
    if name.startswith("data:"):  # some client's mistake; its base64 is no name
        name = ""
    reference = first(file.get("file_url"), file.get("file_id"))
    if data := string(file.get("file_data")):
        return _content(data, "file")._replace(name=name)
    if reference.startswith("data:"):
        return _content(reference, "file")._replace(name=name)
    return Attachment("file", name, line(reference))


def _content(given: str, media: str) -> Attachment:
    """Tell a data URL, a URL, an id and bare base64 apart."""
    given = given.strip()
    if given[:5].lower() == "data:":
        return _data_url(given, media)
    if given[:8].lower().startswith(_NAMES):
        return Attachment(media, url=line(given[:_URL_CHARS]))
    if given.startswith("file-"):  # an id as OpenAI's file store gives it
        return Attachment(media, url=line(given))
    return Attachment(media, data=given)


def _data_url(url: str, media: str) -> Attachment:
    head, comma, _ = url[:400].partition(",")
    words = head[len("data:") :].split(";")
    named = line(words[0]) or media
    is_text = words[-1].strip().lower() != "base64"
    return Attachment(named, data=url[len(head) + 1 :] if comma else "", is_text=is_text)


def _decode(data: str) -> bytes:
    """Decode base64 as clients write it: URL-safe too, with white space, without padding."""
    import base64
    import binascii

    plain = "".join(data.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("the attachment is no base64", hint="aap inbox show ID --raw") from None


def _describe(attached: Attachment) -> str:
    told = attached.type == "file" and (attached.name or attached.url)
    kind = "" if told else attached.type
    return " ".join(
        word for word in (attached.name, kind, attached.url, _size(attached.size)) if word
    )


def _size(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size} B" if size < 1000 else f"{size / 1000:.0f} kB"

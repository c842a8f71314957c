"""What is attached to a message, in a few words: "image/png 48 kB"."""

from __future__ import annotations

from typing import Any

from aap.bodies.parts import Turn, first, line, mapping, string

_MAX_LISTED = 50


def describe(turn: Turn) -> tuple[str, ...]:
    """Describe the attachments of a turn, in order, without their content."""
    found = [text for part in turn.parts if (text := _describe(part))]
    return tuple(found[:_MAX_LISTED])


def _describe(part: dict[str, Any]) -> str:
    kind = string(part.get("type"))
    if kind in {"image_url", "input_image"}:
        return _image(part)
    if kind == "input_audio":
        audio = mapping(part.get("input_audio")) or part
        return _join(f"audio/{line(audio.get('format')) or 'unknown'}", _size(audio.get("data")))
    if kind in {"file", "input_file"}:
        return _file(mapping(part.get("file")) or part)
    return ""


def _image(part: dict[str, Any]) -> str:
    image = part.get("image_url")
    url = first(mapping(image).get("url"), image)
    if url.startswith("data:"):
        return _data_url(url) or "image"
    return _join("image", url or part.get("file_id"))


def _file(file: dict[str, Any]) -> str:
    data = string(file.get("file_data"))
    content = _data_url(data) if data.startswith("data:") else _size(data)
    name = first(file.get("filename"), file.get("file_url"), file.get("file_id"))
    return _join(name or "file", content)


def _data_url(url: str) -> str:
    head, comma, _ = url[:200].partition(",")
    media = head[len("data:") :].partition(";")[0]
    return _join(media or "data", _size(url, len(head) + len(comma)))


def _size(base64: object, start: int = 0) -> str:
    size = max(0, len(string(base64)) - start) * 3 // 4
    if not size:
        return ""
    return f"{size} B" if size < 1000 else f"{size / 1000:.0f} kB"


def _join(*words: object) -> str:
    return " ".join(text for word in words if (text := line(word)))

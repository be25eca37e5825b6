"""docs/rpc.md, made of what the methods declare: `python -m sandbox.server.document docs/rpc`.

The directory has template.md, whose lines `<!-- NAME -->` are replaced, and examples.txt, calls
and answers as they were recorded.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.server import methods
from sandbox.server.example import shown_call, shown_value
from sandbox.server.method import METHODS, Method, Param
from sandbox.server.shapes import JOB, LIMITS, SHAPES, Shape
from sandbox.spec.quantities import format_size
from sandbox.wire.calls import MOST_CALLS
from sandbox.wire.errors import CODES
from sandbox.wire.framing import FRAME_BYTES, STRANGER_FRAME_BYTES
from sandbox.wire.scan import MOST_DEPTH, MOST_OBJECTS
from sandbox.wire.values import MOST_INTEGER, REQUIRED

__all__ = ["Page", "document"]

assert methods  # importing it declares them

_PLACE = re.compile(r"<!-- ([a-z: ._]+) -->")


class Page(NamedTuple):
    """What a page is about."""

    groups: Mapping[str, str]  # first part of their methods' names -> title
    methods: Mapping[str, Method]
    shapes: Mapping[str, Shape]


_SERVICE = Page(
    {
        "server": "The server",
        "blob": "Blobs",
        "job": "Jobs",
        "pipeline": "Pipelines",
        "stream": "Pushed outputs",
    },
    METHODS,
    SHAPES,
)
# code -> when it is told, and what to do then
_MEANINGS = {
    "spec": ("the job asks for what cannot be meant; `field` names it", "change the job"),
    "refused": (
        "no room, a limit that nobody here enforces, or not now",
        "come back after `retry_after_seconds`; if that is nil, change something first",
    ),
    "host": ("the host lacks something that the job requires", "the message ends with the fix"),
    "setup": ("a wall could not be built; the payload was never started", "see the server's log"),
    "zygote": ("the process that makes sandboxes died", "submit again"),
    "exec": ("the command could not be executed; `errno` and `command` say more", "change it"),
    "protocol": ("what was sent is no message; the connection is closed", "connect anew"),
    "unknown_method": ("there is no such method; the message names the nearest", "write that"),
    "invalid_params": ("a parameter is wrong; `field` names it", "change the call"),
    "not_found": ("no such job, blob or subscription, or it is another tenant's", "list yours"),
    "lost": ("the server was killed while the job ran; nobody knows what came of it",
             "submit it anew; `most_runs` has that done"),
    "internal": ("the server met what it has no name for", "see its log, and tell us"),
}  # fmt: skip
_CAPS = {
    "bytes of a message": FRAME_BYTES,
    "bytes of a message before a token was shown": STRANGER_FRAME_BYTES,
    "values in a message: numbers, texts, keys, arrays, maps": MOST_OBJECTS,
    "arrays and maps within each other": MOST_DEPTH,
    "calls on a connection that are not answered yet": MOST_CALLS,
}


def document(
    template: str, examples: Mapping[str, Mapping[str, Any]], page: Page = _SERVICE
) -> str:
    """The page. Raises KeyError: the template names what there is not."""
    parts: dict[str, Callable[[], Iterable[str]]] = {
        "caps": lambda: _table(("most", "of what"), ((f"{n:,}", why) for why, n in _CAPS.items())),
        "errors": _errors,
        "job": lambda: _shape(JOB, page),
        "limits": lambda: _shape(LIMITS, page),
        "contents": lambda: _contents(page),
        "methods": lambda: _methods(examples, page),
        "shapes": lambda: _shapes(page),
    }

    def part(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("example: "):
            return "\n".join(_example(examples[name.removeprefix("example: ")]))
        return "\n".join(parts[name]())

    return _PLACE.sub(part, template)


def _errors() -> Iterator[str]:
    rows = ((f"`{code}`", *_MEANINGS[code]) for code in CODES)
    return _table(("code", "when", "what to do"), rows)


def _contents(page: Page) -> Iterator[str]:
    for group, title in page.groups.items():
        names = (name for name in page.methods if name.startswith(f"{group}."))
        links = ", ".join(f"[{name}](#{name.replace('.', '')})" for name in names)
        yield f"- {title}: {links}"


def _methods(examples: Mapping[str, Mapping[str, Any]], page: Page) -> Iterator[str]:
    for group, title in page.groups.items():
        yield from (f"## {title}", "")
        for name, one in page.methods.items():
            if name.startswith(f"{group}."):
                yield from _method(one, examples[name], page)


def _method(one: Method, example: Mapping[str, Any], page: Page) -> Iterator[str]:
    yield from (f"### {one.name}", "", " ".join((one.run.__doc__ or "").split()), "")
    if one.is_local:
        yield from ("For [local peers](#who-you-are) only.", "")
    if one.params:
        rows = (
            (f"`{name}`", _kind(param), _default(param), param.why)
            for name, param in one.params.items()
        )
        yield from (*_table(("parameter", "type", "default", "meaning"), rows), "")
    if one.reply.name:
        yield f"Answers a [{one.reply.name}](#{one.reply.name})."
    elif one.reply.fields:
        yield from ("Answers:", "", *_shape(one.reply, page))
    else:
        yield "Answers an empty map."
    if one.errors:
        yield from ("", "Errors: " + "; ".join(map(_error, one.errors)) + ".")
    yield from ("", *_example(example), "")


def _kind(param: Param) -> str:
    bounds = param.bounds
    if param.kind == "choice":
        return ", ".join(f"`{choice}`" for choice in bounds["choices"])
    kind = {"data": "bin", "table": "map"}.get(param.kind, param.kind)
    if "most_bytes" in bounds:
        return f"{kind}, up to {_bytes(bounds['most_bytes'])}"
    if "most_items" in bounds:
        return f"{kind}, up to {bounds['most_items']}"
    if param.kind not in ("integer", "number"):
        return kind
    least, most = bounds.get("least", 0), bounds.get("most", MOST_INTEGER)
    return f"{kind}, {least:g} to {most:g}" if most < 1 << 32 else f"{kind}, from {least}"


def _bytes(size: int) -> str:
    text = format_size(size)
    return f"{text} bytes" if text.isdigit() else f"{text[:-3]} {text[-3:]}"


def _default(param: Param) -> str:
    return "required" if param.default is REQUIRED else f"`{shown_value(param.default)}`"


def _error(text: str) -> str:
    code, colon, when = text.partition(": ")
    name = f"`{code}`" if code in CODES else code
    return f"{name} ({when})" if colon else name


def _shapes(page: Page) -> Iterator[str]:
    for name, shape in page.shapes.items():
        if shape not in (JOB, LIMITS):
            yield from (f"### {name}", "", shape.why, "", *_shape(shape, page), "")


def _shape(shape: Shape, page: Page) -> Iterator[str]:
    rows = (
        (
            f"`{name}`",
            _linked(field.kind, page) + (", or missing" if field.is_optional else ""),
            field.why,
        )
        for name, field in shape.fields.items()
    )
    return _table(("field", "type", "meaning"), rows)


def _linked(kind: str, page: Page) -> str:
    kind = re.sub(r"\bdata\b", "bin", kind)
    return re.sub(
        r"(?<!\{)\b(" + "|".join(page.shapes) + r")\b(?![,}])", lambda m: f"[{m[1]}](#{m[1]})", kind
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _example(example: Mapping[str, Any]) -> Iterator[str]:
    yield from ("```", *shown_call(example), "```")


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    recorded = ast.literal_eval((directory / "examples.txt").read_text())
    sys.stdout.write(document((directory / "template.md").read_text(), recorded))

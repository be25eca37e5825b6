"""blob.*: files that jobs name by their SHA-256, uploaded once."""

from collections.abc import Callable, Coroutine
from typing import Any

from sandbox.server.blobs import Blob
from sandbox.server.method import Param, method
from sandbox.server.service import Peer, Service
from sandbox.server.shapes import BLOB, EMPTY, Field, Shape
from sandbox.wire.values import MOST_INTEGER

__all__: list[str] = []

_MOST_CHUNK_BYTES = 512 << 10
_MOST_LISTED = 1000
_SHA256 = Param("text", "64 digits of 0-9 and a-f", bounds={"most_bytes": 64})
Answer = Callable[[], Any]


@method(
    "blob.put",
    Shape({
        "offset": Field("integer", "of the byte that is expected next"),
        "is_complete": Field("flag", "it is held, and jobs may name it"),
    }),
    "invalid_params: `sha256`, the content has another hash, and the upload is dropped; `bytes` or"
    " `data`, it has another size",
    "refused: over the quota, too many uploads, or no room on the disk",
    sha256=_SHA256,
    bytes=Param("integer", "of the whole blob", bounds={"most": MOST_INTEGER}),
    offset=Param("integer", "number of the first byte of `data`", 0),
    data=Param("data", "the next chunk; nothing: only ask", b"", {"most_bytes": _MOST_CHUNK_BYTES}),
)  # fmt: skip
def put(
    service: Service, peer: Peer, sha256: str, bytes: int, offset: int, data: bytes
) -> Coroutine[Any, Any, Answer]:
    """Upload the next chunk of a blob. One that is not the expected one changes nothing: the answer
    tells where to go on, after a lost connection too. A blob that is held is complete at once."""

    async def stored() -> Answer:
        progress = await service.blobs.put(peer.tenant.name, sha256, bytes, offset, data)
        return progress._asdict

    return stored()


@method("blob.stat", BLOB, "not_found", sha256=_SHA256)
def stat(service: Service, peer: Peer, sha256: str) -> Any:
    """What is known of a blob, or of its upload."""
    return _blob(service.blobs.stat(peer.tenant.name, sha256))


@method(
    "blob.list", Shape({"blobs": Field("array of blob", "in the order of their names")}),
    after=Param("text", "only those whose name sorts behind this one", None, {"most_bytes": 64}),
    most=Param("integer", "up to so many", 100, {"least": 1, "most": _MOST_LISTED}),
)  # fmt: skip
def list_blobs(service: Service, peer: Peer, after: str | None, most: int) -> Any:
    """Your complete blobs."""
    found = service.blobs.list(peer.tenant.name, after or "", most)
    return {"blobs": [_blob(blob) for blob in found]}


@method("blob.delete", EMPTY, "not_found", sha256=_SHA256)
def delete(service: Service, peer: Peer, sha256: str) -> Coroutine[Any, Any, Answer]:
    """Remove a blob: at once, or when the last job that names it is over."""

    async def deleted() -> Answer:
        await service.blobs.delete(peer.tenant.name, sha256)
        return dict

    return deleted()


def _blob(blob: Blob) -> dict[str, Any]:
    return {
        "sha256": blob.sha256,
        "bytes": blob.size_bytes,
        "is_complete": blob.is_complete,
        "expires_at": blob.expires_at,
    }

"""Archives that attack whoever unpacks them: each is refused by the rule that it breaks."""

import io
import struct
import tarfile
import zipfile
from typing import Any

import pytest
from judge.service.contest import RIGHT, judged, package, tarred, upload, with_quota, zipped
from server.daemon import Client, Daemon, serving


def entry(name: str, kind: bytes, **fields: Any) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    for field, value in fields.items():
        setattr(found, field, value)
    return found


def zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("data/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/shadow")
    return buffer.getvalue()


def many_entries(count: int) -> bytes:
    """A zip whose directory has so many entries, all of them of one empty file."""
    name = b"a"
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 1, 0) + name
    one = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    directory = (one + name) * count
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(local), 0)
    return local + directory + end  # which lies of how many there are


def zip_bomb() -> bytes:
    return zipped({"problem.yaml": b"name: x\n", "data/secret/1.in": bytes(48 << 20)})


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def wrong_sum() -> bytes:
    data = bytearray(zipped({"problem.yaml": b"name: x\n"}))
    data[data.index(b"problem.yaml") - 16] ^= 1  # of the crc in the local header
    at = data.index(b"PK\1\2") + 16
    data[at] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("archive", "rule"),
    [
        (tarred({"../../x": b"out"}), "part that is empty, . or .."),
        (tarred({"/tmp/x": b"out"}), "not below the top"),
        (tarred({"a/./../b": b"out"}), "part that is empty, . or .."),
        (zipped({"../x": b"out"}), "part that is empty, . or .."),
        (tarred({"l": entry("l", tarfile.SYMTYPE, linkname="/etc")}), "link or a device"),
        (tarred({"l": entry("l", tarfile.LNKTYPE, linkname="/etc/passwd")}), "link or a device"),
        (tarred({"d": entry("d", tarfile.BLKTYPE, devmajor=8)}), "link or a device"),
        (tarred({"d": entry("d", tarfile.CHRTYPE, devmajor=1, devminor=5)}), "link or a device"),
        (tarred({"f": entry("f", tarfile.FIFOTYPE)}), "link or a device"),
        (zip_link(), "link or a device"),
        (zip_bomb(), "over 33554432 bytes"),
        (tarred({"problem.yaml": b"", "big": bytes(48 << 20)}, "bz2"), "over 33554432 bytes"),
        (tarred({"problem.yaml": b"", "big": bytes(48 << 20)}, "xz"), "over 33554432 bytes"),
        (many_entries(300_000), "over 50000 entries"),
        (zipped({f"data/{n}": b"" for n in range(50_001)}), "over 50000 entries"),
        (b"", "neither a zip nor a tar"),
        (b"#!/bin/sh\necho no\n", "neither a zip nor a tar"),
        (cut(zipped(package())), "neither a zip nor a tar"),
        (cut(tarred(package(40))), "neither a zip nor a tar"),
        (cut(tarred(package(40), "")), "ends too early"),
        (wrong_sum(), "neither a zip nor a tar"),
        (zipped({"a/problem.yaml": b"", "b/problem.yaml": b""}), "2 directories in it"),
        (zipped({"readme": b""}), "no directories in it"),
        (zipped({"problem.yaml": b"name: [unclosed\n"}), "problem.yaml"),
    ],
    ids=lambda value: value if isinstance(value, str) else "archive",
)  # fmt: skip
def test_an_archive_that_breaks_a_rule_is_refused_by_it(
    hostile: tuple[Daemon, Client], archive: bytes, rule: str
) -> None:
    daemon, client = hostile
    told = judged(client, upload(client, archive), RIGHT)
    assert (told["state"], told["result"]) == ("failed", None)
    assert told["error"]["code"] in ("spec", "invalid_params")
    assert told["error"]["field"] == "problem"
    assert rule in told["error"]["message"]
    assert not [path for path in daemon.state.rglob("x") if path.name == "x"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One whose tenants have 32 MiB, for all that is sent to it here."""
    directory = tmp_path_factory.mktemp("hostile")
    with serving(directory, with_quota("32MiB")) as daemon, daemon.client() as client:
        yield daemon, client
        told = judged(client, upload(client, zipped(package())), RIGHT)
        assert told["verdict"] == "AC", "it judges as before"

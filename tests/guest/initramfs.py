"""The first root of a QEMU guest: busybox, the modules that reach the host's files, and an init."""

import lzma
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["initramfs"]

# What reaches the host's files and the two output streams; a kernel may have some of it built in.
_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
while read -r module; do /bin/busybox insmod /modules/$module; done </modules/order
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 exchange /exchange
exec /bin/busybox sh /exchange/init
"""
_DIRECTORY, _FILE = 0o040755, 0o100755  # cpio has the mode of inode(7)


def initramfs(modules: Path) -> bytes:
    """A cpio archive (kernel doc: early-userspace/buffer-format) for the kernel of `modules`.

    `modules` is its /lib/modules/VERSION, with modules.dep. Raises OSError where it cannot be read.
    """
    loaded = list(_in_order(modules))
    members = [(name, _DIRECTORY, b"") for name in ("bin", "proc", "exchange", "mnt", "modules")]
    members += [("init", _FILE, _INIT.encode()), ("bin/busybox", _FILE, _busybox())]
    members += [(f"modules/{path.stem}", _FILE, _unpacked(modules / path)) for path in loaded]
    order = "".join(f"{path.stem}\n" for path in loaded)
    members += [("modules/order", _FILE, order.encode()), ("TRAILER!!!", 0, b"")]
    return b"".join(_member(*member) for member in members)


def _busybox() -> bytes:
    return Path(shutil.which("busybox") or "/bin/busybox").read_bytes()


def _in_order(modules: Path) -> Iterator[Path]:
    """Each module after those that it depends on, as paths below `modules`."""
    lines = [line.split(":") for line in (modules / "modules.dep").read_text().splitlines()]
    needs = {Path(path): [Path(other) for other in others.split()] for path, others in lines}
    named = {path.name.partition(".")[0]: path for path in needs}
    done = set[Path]()
    for name in _MODULES:
        if path := named.get(name):  # else it is built in
            # depmod(8): the last of a line's modules is to be loaded first.
            for each in (*reversed(needs[path]), path):
                if each not in done:
                    yield each
                done.add(each)


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return data


def _member(name: str, mode: int, data: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return _padded(header) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

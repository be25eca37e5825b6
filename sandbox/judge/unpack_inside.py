"""What unpacks an archive in a sandbox: `python3 -c THIS ARCHIVE MOST_FILES MOST_BYTES`.

Writes every regular file to stdout as a header (unpacking.py has its form too), its name and its
bytes, then a last header that counts them. A rule that is broken is told on stderr, and 3 is the
exit code. Whatever the archive makes of us, all that it gets is to write there.
"""

import bz2
import gzip
import lzma
import stat
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

_HEADER = struct.Struct(">BHQ")  # 1: executable, 255: the end; bytes of the name; of the content
_PIECE_BYTES = 1 << 16
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_TAIL_BYTES = 22 + 0xFFFF  # the end record of a zip, and the longest comment behind it


class _Broken(Exception):
    pass


class _Out:
    def __init__(self, most_files, most_bytes):
        self._most_files, self._left = most_files, most_bytes
        self._most_bytes = most_bytes
        self._entries = self._files = 0
        self._stream = sys.stdout.buffer

    def count(self):
        """Another entry, of whatever kind."""
        self._entries += 1
        if self._entries > self._most_files:
            raise _Broken(f"over {self._most_files} entries")

    def file(self, name, size, executable, content):
        """One regular file, whose content is `size` bytes long."""
        encoded = name.encode("utf-8", "surrogateescape")
        if len(encoded) > 0xFFFF:
            raise _Broken(f"a name of {len(encoded)} bytes")
        self._left -= size
        if self._left < 0:
            raise _Broken(f"over {self._most_bytes} bytes unpacked")
        self._files += 1
        self._stream.write(_HEADER.pack(1 if executable else 0, len(encoded), size) + encoded)
        while size:
            piece = content.read(min(size, _PIECE_BYTES))
            if not piece:
                raise _Broken(f"{name}: {size} bytes are missing")
            self._stream.write(piece)
            size -= len(piece)

    def end(self):
        self._stream.write(_HEADER.pack(255, 0, self._files))
        self._stream.flush()


def _unzip(path, out, most_files):
    with Path(path).open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    # Before the whole directory is read into memory.
    if (
        end >= 0
        and len(tail) >= end + 12
        and struct.unpack_from("<H", tail, end + 10)[0] > most_files
    ):
        raise _Broken(f"over {most_files} entries")
    with zipfile.ZipFile(path) as archive:
        if len(archive.infolist()) > most_files:  # the end record may lie
            raise _Broken(f"over {most_files} entries")
        for entry in archive.infolist():
            out.count()
            if entry.is_dir():
                continue
            mode = entry.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise _Broken(
                    f"{entry.filename}: is a link or a device; only files and directories"
                )
            if entry.flag_bits & 1:
                raise _Broken(f"{entry.filename}: is encrypted")
            with archive.open(entry) as content:
                out.file(entry.filename, entry.file_size, mode & 0o100, content)
                content.read(1)  # at the end its sum is checked


class _Header(tarfile.TarInfo):
    """Notes the block of zeros that ends an archive: without it, half of one would look whole."""

    has_ended = False

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        if len(buf) == tarfile.BLOCKSIZE and not any(buf):
            _Header.has_ended = True
        return super().frombuf(buf, encoding, errors)


def _untar(path, out):
    with (
        _opened(path) as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive,
    ):
        for entry in archive:
            out.count()
            if entry.isdir():
                continue
            if not entry.isreg():
                raise _Broken(f"{entry.name}: is a link or a device; only files and directories")
            if entry.sparse is not None:
                raise _Broken(f"{entry.name}: is sparse; pack it as it is")
            name = entry.name.removeprefix("./")
            out.file(name, entry.size, entry.mode & 0o100, archive.extractfile(entry))
            archive.members = []  # it would keep them all
        if not _Header.has_ended:
            raise _Broken("is neither a zip nor a tar that can be read: it ends too early")


def _opened(path):
    """What is in it, decompressed: by those that complain where it is cut off."""
    with Path(path).open("rb") as file:
        head = file.read(6)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return opener(path)
    return Path(path).open("rb")


def _main(path, most_files, most_bytes):
    out = _Out(int(most_files), int(most_bytes))
    try:
        with Path(path).open("rb") as file:
            is_zip = file.read(4) in (b"PK\3\4", b"PK\5\6")
        if is_zip:
            _unzip(path, out, int(most_files))
        else:
            _untar(path, out)
    except _Broken as error:
        problem = str(error)
    except MemoryError:
        problem = "takes too much memory to unpack"
    except Exception as error:  # of its own form: whatever these libraries raise
        problem = f"is neither a zip nor a tar that can be read: {error}"
    else:
        out.end()
        return 0
    sys.stderr.write(problem.encode("utf-8", "backslashreplace").decode()[:1000])
    return 3


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))

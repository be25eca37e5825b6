"""The loader: its bytes are its listing's, and a job is laid out as execve(2) wants it."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.boundary import loader
from sandbox.boundary.loader import MOST_JOB_BYTES, loader_image, loader_job

LISTINGS = Path(loader.__file__).parent
JOB_AT = 0x700000
RETURN_ALLOW = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
TEXTS = st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\0", b"")), max_size=8)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_bytes_are_those_of_the_listing(machine: str, tmp_path: Path) -> None:
    prefix = "" if machine == os.uname().machine else f"{machine}-linux-gnu-"
    if shutil.which(f"{prefix}as") is None:
        pytest.skip(f"no assembler for {machine} here (package binutils-{machine}-linux-gnu)")
    listing, unit, code = LISTINGS / f"loader_{machine}.S", tmp_path / "o", tmp_path / "bin"
    subprocess.run([f"{prefix}as", "-o", unit, listing], check=True)
    subprocess.run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", unit, code], check=True)
    assert code.read_bytes() == loader._CODE[machine]


def test_an_image_is_an_executable_that_needs_nothing(tmp_path: Path) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("no readelf here (package binutils)")
    image = tmp_path / "loader"
    image.write_bytes(loader_image(RETURN_ALLOW, notifies=False))
    found = subprocess.run(["readelf", "-hlW", image], check=True, capture_output=True, text=True)
    assert not found.stderr, "readelf warns of a broken file"
    loads = [line.split() for line in found.stdout.splitlines() if line.strip().startswith("LOAD")]
    flags = ["".join(fields[6:-1]) for fields in loads]
    assert flags == ["RE", "RW"], "no page is writable and executable"
    assert "INTERP" not in found.stdout and "GNU_STACK" in found.stdout


def read_strings(memory: bytes, at: int) -> list[bytes]:
    """A null-terminated array of pointers to strings, at an address of the loader's."""
    found = []
    while pointer := struct.unpack_from("<Q", memory, at - JOB_AT)[0]:
        start = pointer - JOB_AT
        found.append(memory[start : memory.index(b"\0", start)])
        at += 8
    return found


@given(argv=TEXTS, environment=TEXTS, paths=TEXTS)
def test_a_job_has_its_strings_where_its_pointers_say(
    argv: list[bytes], environment: list[bytes], paths: list[bytes]
) -> None:
    job = loader_job(argv, environment, paths)
    size, *arrays = struct.unpack_from("<4Q", job)
    assert size == len(job) - 8
    assert [read_strings(job, at) for at in arrays] == [argv, environment, paths]


@pytest.mark.parametrize(
    "argv", [[b"a\0b"], [b"x" * MOST_JOB_BYTES], [b""] * (MOST_JOB_BYTES // 8)]
)
def test_a_job_that_cannot_be_laid_out_is_refused(argv: list[bytes]) -> None:
    with pytest.raises(ValueError):
        loader_job(argv, [], [b"/bin/true"])


def test_a_loader_whose_supervisor_is_gone_ends(tmp_path: Path) -> None:
    """Outside of a sandbox, with any end of a pipe as its report: it takes EOF for what it is."""
    image = tmp_path / "loader"
    image.write_bytes(loader_image(RETURN_ALLOW, notifies=False))
    image.chmod(0o755)
    code = (
        "import ctypes, os, socket, sys\n"
        "ours, theirs = socket.socketpair()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.dup2(theirs.fileno(), 3)\n"
        "    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"  # PR_SET_NO_NEW_PRIVS
        "    os.execve(sys.argv[1], ['named'], {})\n"
        "theirs.close()\n"
        "print(ours.recv(16).hex(), open(f'/proc/{pid}/comm').read().strip())\n"
        "ours.close()\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    found = subprocess.run(
        [shutil.which("python3") or "python3", "-c", code, image],
        check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    locked = struct.pack("<4i", 3, 0, 0, 0).hex()
    assert found.stdout.split() == [locked, "named", "1"]

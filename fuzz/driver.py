"""What every target has in common: its command line, its corpus, and bytes to try.

With atheris (`pip install '.[fuzz]'`) the bytes follow what they cover; without it they are
mutations of the corpus, which find less and need nothing.
"""

import argparse
import importlib.util
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["Target", "corpus", "main"]

Target = Callable[[bytes], None]

_FUZZ = Path(__file__).resolve().parent
_MOST_BYTES = 8192
_INTERESTING = (
    b"\x80", b"\x90", b"\x94\x00\x01\xa1m", b"\x93\x02\xa1m", b"\xc0", b"\xc1", b"\xc2", b"\xc3",
    b"\xc4\xff", b"\xc6\xff\xff\xff\xff", b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xd3\x80\0\0\0\0\0\0\0",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xd4\x01\x00", b"\xd9\xff", b"\xdc\xff\xff",
    b"\xdd\xff\xff\xff\xff", b"\xdf\x7f\xff\xff\xff", b"\x81\xa1k", b"\x91" * 33, b"\xa1\xff",
    b"\xff" * 4, b"\x00" * 4,
)  # fmt: skip


def corpus(name: str) -> list[Path]:
    """The kept inputs of a target."""
    return sorted(path for path in (_FUZZ / "corpus" / name).iterdir() if path.is_file())


def main(name: str, target: Target) -> None:
    """Run `target` on FILES once, or on ever new bytes. An exception is a finding, and ends it."""
    parser = argparse.ArgumentParser(prog=f"python -m fuzz.{name}")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILES", help="try these only")
    options = parser.parse_args()
    if options.files:
        for path in options.files:
            target(path.read_bytes())
        print(f"{len(options.files)} files: nothing found")
    elif importlib.util.find_spec("atheris"):
        _run_atheris(name, target, options.seconds)
    else:
        _mutate(name, target, options.seconds)


def _run_atheris(name: str, target: Target, seconds: int) -> None:
    import atheris

    atheris.instrument_all()
    options = (f"-max_total_time={seconds}", f"-max_len={_MOST_BYTES}", f"-artifact_prefix={name}-")
    with tempfile.TemporaryDirectory() as found:  # the first directory is written to
        atheris.Setup([name, *options, found, str(_FUZZ / "corpus" / name)], target)
        atheris.Fuzz()


def _mutate(name: str, target: Target, seconds: int) -> None:
    seeds = [path.read_bytes() for path in corpus(name)]
    seed = time.time_ns()
    chance = random.Random(seed)
    until = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < until:
        data = _mutated(chance, seeds)
        try:
            target(data)
        except Exception:
            traceback.print_exc()
            path = Path(f"{name}-crash-{seed}-{tried}")
            path.write_bytes(data)
            sys.exit(f"found after {tried} inputs; again: python -m fuzz.{name} {path}")
        tried += 1
    print(f"{tried} inputs in {seconds} s: nothing found")


def _mutated(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(data))
        match chance.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[at % len(data)] = chance.randrange(256)
            case 2:
                data[at:at] = chance.choice(_INTERESTING)
            case 3:
                del data[at : at + chance.randint(1, 8)]
            case 4:
                other = chance.choice(seeds)
                data[at:] = other[chance.randint(0, len(other)) :]
            case _:
                end = min(len(data), at + chance.randint(1, 32))
                data[at:at] = data[at:end]
    return bytes(data[:_MOST_BYTES])

"""What every target has in common: its command line, its corpus, and bytes to try.

With atheris (`pip install '.[fuzz]'`) the bytes follow the edges that they reach; without it they
follow the lines (lines.py), which is slower and needs nothing.
"""

import argparse
import gc
import importlib.util
import itertools
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, FunctionType
from typing import NoReturn

from fuzz.lines import Lines
from fuzz.mutation import MOST_BYTES, Mutator

__all__ = ["MSGPACK_TOKENS", "Finding", "Target", "corpus", "explore", "main"]

Target = Callable[[bytes], None]

_FUZZ = Path(__file__).resolve().parent
_INPUT_SECONDS = 60  # more is a finding
_MOST_MEMORY_BYTES = 4 << 30
_FORGOTTEN = 1 << 62  # more inputs than there is time for
MSGPACK_TOKENS = (
    b"\x80", b"\x90", b"\x94\x00\x01\xa1m", b"\x93\x02\xa1m", b"\xc0", b"\xc1", b"\xc2", b"\xc3",
    b"\xc4\xff", b"\xc6\xff\xff\xff\xff", b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xd3\x80\0\0\0\0\0\0\0",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xd4\x01\x00", b"\xd9\xff", b"\xdc\xff\xff",
    b"\xdd\xff\xff\xff\xff", b"\xdf\x7f\xff\xff\xff", b"\x81\xa1k", b"\x91" * 33, b"\xa1\xff",
)  # fmt: skip


def corpus(name: str) -> list[Path]:
    """The kept inputs of a target."""
    return sorted(path for path in (_FUZZ / "corpus" / name).iterdir() if path.is_file())


def main(name: str, target: Target, tokens: Sequence[bytes] = ()) -> None:
    """Run `target` on FILES once, or on ever new bytes. An exception is a finding, and ends it.

    `tokens`: pieces of what it reads, for those who make inputs.
    """
    parser = argparse.ArgumentParser(prog=f"python -m fuzz.{name}")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--inputs", type=int, help="so many, whatever the time; not by atheris")
    parser.add_argument("--seed", type=int, help="the same inputs each time; not by atheris")
    parser.add_argument("--keep", type=Path, help="write what reached new lines to this directory")
    parser.add_argument("--own", action="store_true", help="not by atheris, though it is there")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILES", help="try these only")
    options = parser.parse_args()
    if options.files:
        for path in options.files:
            target(path.read_bytes())
        print(f"{len(options.files)} files: nothing found")
        return
    is_own = options.own or options.inputs or options.seed is not None or options.keep
    if importlib.util.find_spec("atheris") and not is_own:
        _run_atheris(name, target, tokens, options.seconds)
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    seed = time.time_ns() if options.seed is None else options.seed
    inputs = [path.read_bytes() for path in corpus(name)]
    until = _FORGOTTEN if options.inputs is None else options.inputs
    seconds = options.seconds if options.inputs is None else _FORGOTTEN
    try:
        explore(target, Mutator(inputs, tokens, seed), until, seconds, options.keep)
    except Finding as finding:
        path = Path(f"{name}-crash-{seed}-{finding.tried}")
        path.write_bytes(finding.data)
        traceback.print_exception(finding.__cause__)
        sys.exit(f"found after {finding.tried} inputs; again: python -m fuzz.{name} {path}")


class Finding(Exception):
    """An input for which something of ours is wrong; its cause says what."""

    def __init__(self, data: bytes, tried: int) -> None:
        super().__init__(f"input {tried}")
        self.data, self.tried = data, tried


def explore(
    target: Target, mutator: Mutator, inputs: int, seconds: float, keep: Path | None = None
) -> int:
    """Try the corpus, then mutations of it and of what reached new lines; how many were tried.

    Ends after `inputs` mutations or `seconds`. Raises Finding.
    """
    signal.signal(signal.SIGALRM, _hang)
    lines = Lines()
    until = time.monotonic() + seconds
    pending = list(mutator.known)
    tried = told = 0
    lines.start()
    try:
        while pending or (tried < inputs and time.monotonic() < until):
            is_seed = bool(pending)
            data = pending.pop() if is_seed else mutator()
            before = len(lines.reached)
            tried += not is_seed
            _try(target, data, tried)
            is_new = len(lines.reached) > before
            if is_new and not is_seed:
                mutator.learn(data)
                if keep is not None:
                    _keep(keep, lines.reached[before], data)
            if is_new or tried >= 2 * told:
                told = max(tried, 1)
                _tell(tried, "NEW" if is_new else "pulse", lines.count, len(mutator))
    finally:
        lines.stop()
    _tell(tried, "DONE", lines.count, len(mutator))
    return tried


def _keep(directory: Path, reached: str, data: bytes) -> None:
    names = (f"reaches-{reached}-{n}" if n else f"reaches-{reached}" for n in itertools.count())
    next(path for path in map(directory.joinpath, names) if not path.exists()).write_bytes(data)


def _try(target: Target, data: bytes, tried: int) -> None:
    signal.setitimer(signal.ITIMER_REAL, _INPUT_SECONDS)
    try:
        target(data)
    except Exception as error:
        raise Finding(data, tried) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _tell(tried: int, what: str, lines: int, inputs: int) -> None:
    # As libFuzzer writes it: who reads one can read the other.
    print(f"#{tried}\t{what} cov: {lines} corp: {inputs}", file=sys.stderr)


def _hang(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TimeoutError(f"an input takes over {_INPUT_SECONDS} s")


def _run_atheris(name: str, target: Target, tokens: Sequence[bytes], seconds: int) -> None:
    import atheris

    for found in gc.get_objects():
        if isinstance(found, FunctionType) and (found.__module__ or "").startswith("sandbox."):
            atheris.instrument_func(found)
    with tempfile.TemporaryDirectory() as directory:  # the first directory is written to
        dictionary = Path(directory) / "tokens"
        found_here = Path(directory) / "found"
        found_here.mkdir()
        quoted = ("".join(f"\\x{byte:02x}" for byte in token) for token in tokens)
        dictionary.write_text("".join(f'"{token}"\n' for token in quoted))
        options = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}"]
        options += [f"-dict={dictionary}"] if tokens else []
        options += [f"-artifact_prefix={name}-", f"-timeout={_INPUT_SECONDS}", "-rss_limit_mb=4096"]
        atheris.Setup([name, *options, str(found_here), str(_FUZZ / "corpus" / name)], target)
        atheris.Fuzz()

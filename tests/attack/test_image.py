"""An attack's program: the machine's own bytes, entered at its `run`, with a script that works."""

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyseccomp
import pytest
from inside.assembled import AUDIT_ARCH, assemble, labels

from sandbox.attack import image, numbers
from sandbox.attack import script as scripts
from sandbox.attack.image import MACHINES, script_image
from sandbox.attack.script import THROUGH, AttackScript, Stop, read_output
from sandbox.inside import machine as machines

CODE_OFFSET = 0x200


@pytest.mark.parametrize("name", MACHINES)
def test_a_script_is_entered_where_the_listing_says(name: str, tmp_path: Path) -> None:
    unit = tmp_path / "o"
    assemble(name, unit)
    assert image._RUN_AT[name] == CODE_OFFSET + labels(name, unit)["run"]


@pytest.mark.parametrize("name", MACHINES)
def test_the_code_is_the_machines(name: str) -> None:
    plain = machines.machine_image(name)
    assert script_image(bytes(16), name)[CODE_OFFSET : len(plain)] == plain[CODE_OFFSET:]


@pytest.mark.parametrize("name", MACHINES)
def test_no_page_of_it_is_writable_and_executable(name: str) -> None:
    program = script_image(bytes(16), name)
    count = struct.unpack_from("<H", program, 56)[0]
    flags = [struct.unpack_from("<II", program, 64 + 56 * n) for n in range(count)]
    assert flags == [(1, 5), (1, 6), (0x6474E551, 6)]


@pytest.mark.parametrize("name", numbers.BY_MACHINE)
def test_the_numbers_are_those_that_libseccomp_knows(name: str) -> None:
    table = numbers.BY_MACHINE[name]
    assert table == {call: pyseccomp.resolve_syscall(AUDIT_ARCH[name], call) for call in table}


@pytest.fixture(params=MACHINES)
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[AttackScript], bytes]:
    """What a script says on each machine: natively, and the other one's by QEMU."""
    name = request.param
    emulator = []
    if name != os.uname().machine:
        found = shutil.which(f"qemu-{name}-static")
        if found is None:
            pytest.skip(f"no emulator of {name} here (package qemu-user-static)")
        emulator = [found]
    monkeypatch.setattr(scripts, "NUMBERS", numbers.BY_MACHINE[name])

    def run_script(script: AttackScript) -> bytes:
        program = tmp_path / "attack"
        program.write_bytes(script_image(script.finish(), name))
        program.chmod(0o755)
        done = subprocess.run([*emulator, program], capture_output=True, timeout=60)
        return done.stdout

    return run_script


def test_an_attack_says_that_it_got_through(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    script = AttackScript()
    script.read_all(script.open_path(bytes(tmp_path / "secret"), os.O_RDONLY), b"secret")
    assert run(script) == THROUGH


def test_an_attack_says_which_call_it_was_held_at(run: Callable, tmp_path: Path) -> None:
    script = AttackScript()
    script.call("getpid")
    script.open_path(bytes(tmp_path / "missing"), os.O_RDONLY)
    assert read_output(run(script)) == Stop(2, 2)


def test_a_result_that_is_of_no_use_is_no_success(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"public")
    script = AttackScript()
    script.read_all(script.open_path(bytes(tmp_path / "secret"), os.O_RDONLY), b"secret")
    assert read_output(run(script)) == Stop(2, 0)


def test_the_calls_of_a_loop_are_one_step(run: Callable) -> None:
    script = AttackScript()
    with script.loop():
        for _ in range(300):
            script.open_path(b"/dev/null", os.O_RDONLY)
            script.call("getpid")
    script.call("chdir", b"/missing")
    assert [made.call for made in script.made] == ["openat", "getpid", "chdir"]
    assert read_output(run(script)) == Stop(3, 2)

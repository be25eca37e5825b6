"""The machine of each architecture, natively or emulated."""

import os
import shutil
from pathlib import Path

import pytest
from inside.running import CLONE, CLONE3, Machine

from sandbox.inside import script as scripts
from sandbox.inside.machine import machine_image
from sandbox.kernel.numbers import BY_MACHINE


@pytest.fixture(params=sorted(BY_MACHINE))
def machine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Machine:
    """The machine of each architecture; scripts have that one's numbers."""
    name = request.param
    image, emulator = machine_image(name), []
    if name != os.uname().machine:
        found = shutil.which(f"qemu-{name}-static")
        if found is None:
            pytest.skip(f"no emulator of {name} here (package qemu-user-static)")
        emulator = [found]
        image = image.replace(bytes.fromhex(CLONE3[name]), bytes.fromhex(CLONE[name]))
    monkeypatch.setattr(scripts, "NUMBERS", BY_MACHINE[name])
    program = tmp_path / "machine"
    program.write_bytes(image)
    program.chmod(0o755)
    return Machine(emulator, program)

"""The machine's listings, as the distribution's assembler makes code of them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.inside import machine as machines

__all__ = ["AUDIT_ARCH", "LISTINGS", "assemble", "labels", "tool"]

LISTINGS = Path(machines.__file__).parent
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # <linux/audit.h>


def tool(machine: str, name: str) -> str:
    path = shutil.which(name if machine == os.uname().machine else f"{machine}-linux-gnu-{name}")
    if path is None:
        pytest.skip(f"no {name} for {machine} here (package binutils-{machine}-linux-gnu)")
    return path


def assemble(machine: str, unit: Path) -> None:
    """Write the object file of a listing."""
    command = [tool(machine, "as"), "-o", unit, LISTINGS / f"machine_{machine}.S"]
    subprocess.run(command, check=True)


def labels(machine: str, unit: Path) -> dict[str, int]:
    """Where each label of its code is. nm(1)"""
    told = subprocess.run([tool(machine, "nm"), unit], check=True, capture_output=True, text=True)
    symbols = (line.split() for line in told.stdout.splitlines())
    return {name: int(at, 16) for at, kind, name in symbols if kind == "t"}

"""An attack as files that can be executed: itself, and what an earlier job leaves for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sandbox.attack.attack import Attack
from sandbox.attack.control import run_control
from sandbox.attack.image import code_image, script_image
from sandbox.attack.script import AttackScript, Made
from sandbox.attack.targets import Targets, write_program

__all__ = ["Program"]


class Program:
    """One attack, written for these targets: the same bytes run as the control and as the job."""

    def __init__(self, attack: Attack, targets: Targets) -> None:
        self.attack = attack
        self._targets = targets
        self.path = targets.programs / attack.name
        self.steps = self._write(self.path, attack.write, attack.code)
        self.plant: Path | None = None
        self.plant_steps: list[Made] = []
        if attack.plant is not None:
            self.plant = targets.programs / f"{attack.name}-plant"
            self.plant_steps = self._write(self.plant, attack.plant, None)

    def control(self) -> str:
        """Run it without a sandbox; "" if it works, else why not."""
        self._targets.restore()
        if self.plant is not None:
            refusal = run_control(self.attack, self.plant, self.plant_steps, self._targets)
            if refusal:
                return f"nothing to be found: {refusal}"
        return run_control(self.attack, self.path, self.steps, self._targets)

    def _write(
        self,
        path: Path,
        write: Callable[[AttackScript, Targets], None],
        code: bytes | None,
    ) -> list[Made]:
        script = AttackScript()
        write(script, self._targets)
        write_program(path, script_image(script.finish()) if code is None else code_image(code))
        return script.made

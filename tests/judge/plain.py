"""A package's programs, run plainly: no sandbox, no limit but a timeout. For our own packages only.

What the judge does is not looked at here; these runs say what the packages themselves hold.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

__all__ = ["PACKAGES", "Case", "build", "cases", "input_validators", "is_accepted"]

PROBLEMS = Path(__file__).resolve().parents[2] / "examples" / "problems"
PACKAGES = sorted(path.parent for path in PROBLEMS.glob("*/*/problem.yaml"))
ACCEPT = 42
PATIENCE_SECONDS = 60


class Case(NamedTuple):
    """One test case of a package, with what is said of it in the files beside and above it."""

    name: str
    input: Path
    answer: Path
    settings: dict[str, Any]

    def arguments(self, legacy_key: str, key: str) -> list[str]:
        """Arguments as either format has them: one string, or a list of them."""
        return [*self.settings.get(legacy_key, "").split(), *self.settings.get(key, [])]


def cases(package: Path) -> Iterator[Case]:
    """Every test case, in order."""
    data = package / "data"
    for path in sorted(data.rglob("*.in")):
        settings: dict[str, Any] = {}
        for directory in reversed(path.relative_to(data).parents):
            for name in ("testdata.yaml", "test_group.yaml"):
                settings |= _settings(data / directory / name)
        settings |= _settings(path.with_suffix(".yaml"))
        name = str(path.relative_to(data).with_suffix(""))
        yield Case(name, path, path.with_suffix(".ans"), settings)


def input_validators(package: Path) -> list[Path]:
    """The programs that are asked about each input."""
    return sorted((package / "input_validators").iterdir())


def build(source: Path, into: Path, includes: Path | None = None) -> list[str]:
    """Copy a program of C, C++, Python or scripts to the new directory `into`, and build it there.

    The command that runs it is returned.
    """
    if source.is_dir():
        shutil.copytree(source, into)
    else:
        into.mkdir()
        shutil.copy(source, into)
    files = sorted(into.iterdir())
    suffix = next((path.suffix for path in files if path.suffix in (".c", ".cpp")), ".py")
    language = {".c": "c", ".cpp": "cpp", ".py": "python3"}[suffix]
    for directory in (language, "default"):
        if includes and (includes / directory).is_dir():
            shutil.copytree(includes / directory, into, dirs_exist_ok=True)
            break
    if (into / "build").exists():
        subprocess.run(["./build"], cwd=into, check=True)
    if (into / "run").exists():
        return [str(into / "run")]
    if suffix == ".py":
        mains = [path for path in files if path.stem in ("main", "__main__")]
        return ["python3", str((mains or files)[0])]
    compiler = ["gcc", "-std=gnu17"] if suffix == ".c" else ["g++", "-std=c++17"]
    sources = [path.name for path in files if path.suffix == suffix]
    subprocess.run([*compiler, "-O1", "-o", "run", *sources, "-lm"], cwd=into, check=True)
    return [str(into / "run")]


def is_accepted(
    package: Path,
    case: Case,
    command: Sequence[str],
    validator: Sequence[str] | None,
    scratch: Path,
) -> bool:
    """Whether the output of `command` for one test is right, in each pass that there is.

    `validator` None: the default one, as far as right answers of ours need it.
    """
    metadata = yaml.safe_load((package / "problem.yaml").read_text())
    flags = [
        *metadata.get("validator_flags", "").split(),
        *case.arguments("output_validator_flags", "output_validator_args"),
    ]
    feedback = scratch / "feedback"
    feedback.mkdir()
    text = case.input.read_bytes()
    kinds = f"{metadata.get('validation', '')} {metadata.get('type', '')}"
    for turn in range(metadata.get("limits", {}).get("validation_passes", 1)):
        working = scratch / f"pass{turn}"
        files = case.input.with_suffix(".files")
        shutil.copytree(files, working) if files.exists() else working.mkdir()
        payload = [*command, *case.settings.get("args", [])]
        if validator is None:
            return _is_same(flags, _output(payload, text, working), case.answer.read_bytes())
        check = [*validator, str(case.input), str(case.answer), f"{feedback}/", *flags]
        if "interactive" in kinds:
            code = _interact(payload, check, working)
        else:
            output = _output(payload, text, working)
            done = subprocess.run(check, input=output, timeout=PATIENCE_SECONDS, cwd=working)
            code = done.returncode
        if code != ACCEPT:
            return False
        following = feedback / "nextpass.in"
        if not following.exists():
            return True
        text = following.read_bytes()
        following.unlink()
    return False  # one pass more than the package allows


def _settings(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def _output(command: Sequence[str], text: bytes, working: Path) -> bytes:
    done = subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE,
        cwd=working,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return done.stdout


def _interact(payload: Sequence[str], check: Sequence[str], working: Path) -> int:
    """The validator's exit code; CalledProcessError where the payload failed."""
    to_payload, from_validator = os.pipe()
    to_validator, from_payload = os.pipe()
    with (
        subprocess.Popen(payload, stdin=to_payload, stdout=from_payload, cwd=working) as one,
        subprocess.Popen(check, stdin=to_validator, stdout=from_validator, cwd=working) as other,
    ):
        # Ends of ours that stayed open would keep either from seeing that the other is gone.
        for fd in (to_payload, from_validator, to_validator, from_payload):
            os.close(fd)
        try:
            code = other.wait(PATIENCE_SECONDS)
            if one.wait(PATIENCE_SECONDS) != 0:
                raise subprocess.CalledProcessError(one.returncode, payload)
        finally:
            one.kill()
            other.kill()
    return code


def _is_same(flags: Sequence[str], output: bytes, answer: bytes) -> bool:
    if "space_change_sensitive" in flags:
        return output == answer
    found, expected = output.split(), answer.split()
    if "float_tolerance" not in flags:
        return found == expected
    error = float(flags[len(flags) - flags[::-1].index("float_tolerance")])
    return len(found) == len(expected) and all(
        abs(float(one) - float(other)) <= error * max(1.0, abs(float(other)))
        for one, other in zip(found, expected, strict=True)
    )

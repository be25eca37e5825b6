"""Judge the public packages against what they expect: `python -m judge.public DIRECTORY`.

DIRECTORY holds them as `OWNER+NAME/PATH` (packages.toml says how to fetch them). A submission of a
package that is refused counts as not as expected.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PACKAGES = Path(__file__).with_name("packages.toml")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m judge.public", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--only", default="", help="a part of the names of the packages")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, path in _packages(options.directory):
        if options.only in name:
            rows.append(_verify(name, path))
            print(_line(rows[-1]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
    submissions = sum(row["submissions"] for row in rows)
    good = sum(row["as_expected"] for row in rows)
    print(f"{len(rows)} packages, {good} of {submissions} submissions as expected")
    return 0 if good == submissions else 1


def _packages(directory: Path) -> Iterator[tuple[str, Path]]:
    for repository in tomllib.loads(_PACKAGES.read_text())["repository"]:
        place = directory / repository["name"].replace("/", "+")
        for package in repository["packages"]:
            yield f"{repository['name']}/{package['path']}", place / package["path"]


def _verify(name: str, path: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        document = Path(scratch) / "document"
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", "judge", "--verify", f"--json={document}", path],
            capture_output=True,
        )
        errors = done.stderr.decode("utf-8", "replace").splitlines()
        if not document.exists() or not document.stat().st_size:
            count = sum(1 for one in (path / "submissions").glob("*/*"))
            why = next((line for line in reversed(errors) if line.startswith("sandbox:")), "?")
            row = {"package": name, "submissions": count, "as_expected": 0}
            return row | {"refused": why, "unmet": {}}
        told = json.loads(document.read_text())
    unmet = {
        judgement["submission"]: {"verdict": judgement["verdict"], "unmet": found}
        for judgement, found in zip(told["judgements"], told["unmet"], strict=True)
        if found
    }
    count = len(told["judgements"])
    return {
        "package": name, "submissions": count, "as_expected": count - len(unmet), "refused": "",
        "unmet": unmet,
    }  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    text = f"{row['package']}: {row['as_expected']} of {row['submissions']}"
    if row["refused"]:
        return f"{text}: {row['refused']}"
    lines = [
        f"  {name}: {found['verdict']}: {found['unmet']}" for name, found in row["unmet"].items()
    ]
    return "\n".join([text, *lines])


if __name__ == "__main__":
    sys.exit(main())

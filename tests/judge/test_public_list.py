"""The list of public packages names each of them beyond doubt."""

import re
import tomllib
from pathlib import Path

LIST = Path(__file__).parent / "public" / "packages.toml"
FORMATS = {"legacy", "2023-07-draft", "2025-09"}


def test_every_package_has_a_full_commit_a_path_of_its_own_and_a_format() -> None:
    repositories = tomllib.loads(LIST.read_text())["repository"]
    seen = set()
    for repository in repositories:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", repository["name"])
        assert re.fullmatch(r"[0-9a-f]{40}", repository["commit"])
        for package in repository["packages"]:
            assert package["format"] in FORMATS, package
            assert not Path(package["path"]).is_absolute() and ".." not in package["path"]
            seen.add((repository["name"], package["path"]))
    assert len(seen) == sum(len(repository["packages"]) for repository in repositories) >= 40

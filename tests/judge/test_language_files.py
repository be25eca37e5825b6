"""Files of languages: what is wrong with one is told by file and field."""

from pathlib import Path
from typing import Any

import pytest
from judge.building import LANGUAGES

from sandbox.judge.language_file import language_from_mapping, read_languages
from sandbox.spec.errors import SpecError
from sandbox.spec.policy import policy_names

GOOD: dict[str, Any] = {
    "name": "X",
    "tools": {"x": ["x"]},
    "compile": {"command": ["{x}", "{sources}", "-o", "{output}"], "output": "program"},
    "run": {"policy": "native", "command": ["{directory}/program"]},
}


def compiling(**changes: Any) -> dict[str, Any]:
    return {"compile": GOOD["compile"] | changes}


def running(**changes: Any) -> dict[str, Any]:
    return {"run": GOOD["run"] | changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extension": [".x"]}, "extension: no such key; did you mean extensions"),
        ({"extensions": "x"}, "extensions: .* is no array"),
        ({"extensions": ["x"]}, r"extensions\[0\]: \"x\" does not match"),
        ({"name": 3}, "name: 3 is no text"),
        ({"entry": "main"}, "entry: \"main\" is not one of none, file, class"),
        ({"time_multiplier": 0}, "time_multiplier: 0 is no number from 0.01 to 100"),
        ({"time_multiplier": True}, "time_multiplier: true is no number"),
        ({"memory_overhead": "64 MB"}, "memory_overhead: .*64 MB"),
        ({"content": "("}, "content: is no regular expression"),
        (compiling(outputs="x"), r"compile\.outputs: no such key; did you mean output"),
        (compiling(output="../x"), r"compile\.output: .* is no plain name"),
        (compiling(command=[]), r"compile\.command: is empty"),
        (compiling(command=["{y}"]), r"compile\.command: \{y\} stands for nothing here; there are"),
        (compiling(command=["-I{sources}"]), r"compile\.command: \{sources\} is several words"),
        (compiling(output=None), r"compile\.output: nothing is no text"),
        ({"compile": {"command": ["x"], "is_archive": True}}, r"compile\.is_archive: has no"),
        (compiling(limits={"memry": 1}), r"compile\.limits\.memry: no such key"),
        (compiling(host_files=["etc"]), r"compile\.host_files\[0\]: \"etc\" does not match"),
        (running(command=["{output}"]), r"run\.command: \{output\} stands for nothing here"),
        (running(policy=None), r"run\.policy: nothing is no text"),
        (running(host_files=["etc"]), r"run\.host_files\[0\]: \"etc\" does not match"),
        (running(environment={"A": 1}), r"run\.environment\.A: 1 is no text"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_field(change: dict[str, Any], message: str) -> None:
    language_from_mapping("x", GOOD)  # control
    with pytest.raises(SpecError, match=message):
        language_from_mapping("x", GOOD | change)


def test_a_code_that_two_languages_claim_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    run = '[run]\npolicy = "native"\ncommand = ["x"]\n'
    (tmp_path / "a.toml").write_text(f'name = "A"\ncodes = ["x"]\n{run}')
    (tmp_path / "b.toml").write_text(f'name = "B"\ncodes = ["x"]\n{run}')
    with pytest.raises(SpecError, match=r'b\.toml: codes: "x" is a\'s too'):
        read_languages(tmp_path)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("name = \n")
    with pytest.raises(SpecError, match=r"language: .*a\.toml: "):
        read_languages(tmp_path)


def test_each_language_of_ours_uses_policies_that_there_are_and_tells_its_version() -> None:
    for language in LANGUAGES.values():
        used = {language.run.policy, language.compile.policy if language.compile else "native"}
        assert used <= set(policy_names()), language.code
        assert language.tools and language.version, language.code

"""docs/judge-rpc.md says what the code says, and what a server does."""

import ast
import re
from pathlib import Path
from typing import Any

from judge.service.rpc_examples import converse
from server.forms import complaints_of_a_map, form
from server.rpc_examples import record

from sandbox.judge.service.document import judge_document
from sandbox.judge.service.methods import METHODS
from sandbox.judge.service.shapes import JUDGE_SHAPES

DOCS = Path(__file__).resolve().parents[3] / "docs"
EXAMPLES = ast.literal_eval((DOCS / "rpc" / "judge-examples.txt").read_text())


def complaints_of(examples: dict[str, Any]) -> list[str]:
    return [
        complaint
        for example in examples.values()
        for complaint in complaints_of_a_map(
            example["answer"], METHODS[example["method"]].reply, example["method"], JUDGE_SHAPES
        )
    ]


def test_the_page_is_made_from_the_code() -> None:
    is_current = judge_document(DOCS / "rpc") == (DOCS / "judge-rpc.md").read_text()
    assert is_current, "run: python -m sandbox.judge.service.document docs/rpc > docs/judge-rpc.md"


def test_every_link_leads_somewhere() -> None:
    page = (DOCS / "judge-rpc.md").read_text()
    other = (DOCS / "rpc.md").read_text()
    for text, links in ((page, r"\]\(#([^)]+)\)"), (other, r"\]\(rpc\.md#([^)]+)\)")):
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
        assert set(re.findall(links, page)) <= anchors


def test_a_server_answers_as_is_documented(tmp_path: Path) -> None:
    found = record(tmp_path, converse)
    examples = {name: one for name, one in found.items() if one["method"] in METHODS}
    assert set(METHODS) <= examples.keys()
    assert complaints_of(examples) == []
    for name, example in examples.items():
        assert form(example["params"]) == form(EXAMPLES[name]["params"]), f"record {name} anew"
        assert form(example["pushed"]) == form(EXAMPLES[name]["pushed"])


def test_what_was_recorded_is_of_the_documented_form() -> None:
    assert complaints_of(EXAMPLES) == []

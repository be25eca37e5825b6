"""docs/rpc.md says what the code says, and what a server does."""

import ast
import re
from pathlib import Path

import pytest
from server.forms import complaints, complaints_of_a_map, form
from server.rpc_examples import record

from sandbox.server.document import document
from sandbox.server.method import METHODS
from sandbox.server.shapes import JOB, LIMITS, SHAPES, Field, Shape
from sandbox.spec import job, limits
from sandbox.spec.result import VERDICTS, Result

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES = ast.literal_eval((DOCS / "rpc" / "examples.txt").read_text())


def complaints_of(examples):
    found = []
    for example in examples.values():
        shape = METHODS[example["method"]].reply if "answer" in example else SHAPES["error"]
        told = example["answer"] if "answer" in example else example["error"]
        found += complaints_of_a_map(told, shape, example["method"])
    return found


def test_the_page_is_made_from_the_code():
    template = (DOCS / "rpc" / "template.md").read_text()
    made = document(template, EXAMPLES)
    is_current = made == (DOCS / "rpc.md").read_text()
    assert is_current, "run: python -m sandbox.server.document docs/rpc > docs/rpc.md"


def test_every_link_leads_somewhere():
    page = (DOCS / "rpc.md").read_text()
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors


def test_a_server_answers_as_is_documented(tmp_path):
    examples = record(tmp_path)
    assert set(METHODS) <= examples.keys()
    assert complaints_of(examples) == []
    for name, example in examples.items():
        recorded = EXAMPLES[name]
        assert form(example["params"]) == form(recorded["params"]), f"record {name} anew"
        assert example.keys() == recorded.keys()
        assert form(example["pushed"]) == form(recorded["pushed"])


def test_what_was_recorded_is_of_the_documented_form():
    assert complaints_of(EXAMPLES) == []


@pytest.mark.parametrize(
    ("value", "kind"), [(True, "integer"), (1, "flag"), (b"a", "text"), ([1], "array of text")]
)
def test_a_value_of_another_kind_is_noticed(value, kind):
    assert complaints(value, kind)


def test_a_field_that_is_missing_or_not_declared_is_noticed():
    shape = Shape({"a": Field("text", "")})
    assert complaints_of_a_map({"b": 1}, shape) == ["answer has no a", "answer.b is not declared"]


def test_all_that_a_job_or_result_can_have_is_documented():
    assert set(JOB.fields) == set(job._KEYS)
    assert set(LIMITS.fields) == set(limits._READERS)
    assert tuple(SHAPES["result"].fields) == Result._fields
    assert re.findall("`([a-z_]+)`", SHAPES["result"].fields["verdict"].why) == list(VERDICTS)

"""Scripts that stand for DOMjudge's default ones, whose text is not ours to keep here."""

import pytest
from judge.domjudge.contest import COMPARE, RUN, md5

from sandbox.judge.domjudge import material


@pytest.fixture(autouse=True)
def own_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker takes the contest's scripts for the default ones."""
    known = {
        kind: ({name: md5(content) for name, content in files.items()},)
        for kind, files in (("run", RUN), ("compare", COMPARE))
    }
    monkeypatch.setattr(material, "DEFAULTS", known)

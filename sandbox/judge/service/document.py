"""docs/judge-rpc.md, as docs/rpc.md: `python -m sandbox.judge.service.document docs/rpc`.

The directory has judge.md, the template, and judge-examples.txt.
"""

import ast
import sys
from pathlib import Path

from sandbox.judge.service.methods import METHODS
from sandbox.judge.service.shapes import JUDGE_SHAPES
from sandbox.server.document import Page, document

__all__ = ["judge_document"]


def judge_document(directory: Path) -> str:
    """The page, of what is in `directory`."""
    examples = ast.literal_eval((directory / "judge-examples.txt").read_text())
    page = Page({"judge": "Methods"}, METHODS, JUDGE_SHAPES)
    return document((directory / "judge.md").read_text(), examples, page)


if __name__ == "__main__":
    sys.stdout.write(judge_document(Path(sys.argv[1])))

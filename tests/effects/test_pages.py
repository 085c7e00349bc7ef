"""What the pages on looking back show is what the code gives."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_example_gives_what_it_shows() -> None:
    page = (DOCS / "counterfactuals.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    parsed = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "page", None, 0)
    outcome = doctest.DocTestRunner().run(parsed)
    assert outcome.attempted >= 4
    assert outcome.failed == 0

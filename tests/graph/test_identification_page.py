"""What the page on identification shows is what the code gives."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "identification.md"


def test_every_example_of_the_page_gives_what_it_shows() -> None:
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) > 8
    parsed = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    outcome = doctest.DocTestRunner().run(parsed)
    assert outcome.attempted > 25
    assert outcome.failed == 0

"""Claims about the drawn graph, read from its SVG."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dotwin.graph import Drawing
from dotwin.graph.draw import _Canvas
from dotwin.graph.shapes import DOMAIN_STYLE, outline, reach
from dotwin.spec.twin import DOMAINS, Twin

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=["nursing_homes", "workforce_pressure"])
def twin(request: pytest.FixtureRequest) -> Twin:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Twin)
    return found


def texts(drawing: Drawing) -> str:
    root = ElementTree.fromstring(drawing.svg)
    return " ".join("".join(one.itertext()) for one in root.iter(f"{SVG}text"))


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_every_indicator_and_hidden_cause_is_drawn_with_its_label(twin: Twin) -> None:
    shown = texts(twin.graph.draw())
    for name in (*twin.indicators, *twin.hidden_causes):
        assert twin.graph.label(name) in shown


def test_every_arrow_is_drawn_once(twin: Twin) -> None:
    root = ElementTree.fromstring(twin.graph.draw().svg)
    tips = [one.text or "" for one in root.iter(f"{SVG}title")]
    arrows = sorted(tip for tip in tips if " → " in tip)
    label = twin.graph.label
    pairs = {(a.cause, a.effect) for a in twin.graph.arrows if a.cause != a.effect}
    pairs |= {(name, child) for name, h in twin.hidden_causes.items() for child in h.affects}
    assert arrows == sorted(f"{label(a)} → {label(b)}" for a, b in pairs)


def test_no_box_or_label_covers_another(twin: Twin) -> None:
    canvas = _Canvas(twin.graph)
    boxes = len(canvas.taken)
    assert boxes == len(twin.indicators) + len(twin.hidden_causes)
    canvas.svg()
    assert len(canvas.taken) > boxes
    assert not [pair for pair in combinations(canvas.taken, 2) if overlap(*pair)]


def test_arrows_pass_no_box_on_their_way(twin: Twin) -> None:
    canvas = _Canvas(twin.graph)
    for arrow, points in canvas._lines().items():
        for (x0, y0), (x1, y1) in zip(points[1:-2:2], points[2:-1:2], strict=True):
            way = (min(x0, x1), min(y0, y1) - 1, max(x0, x1), max(y0, y1) + 1)
            assert not any(overlap(way, box) for box in canvas.taken), arrow


def test_lags_hidden_causes_and_domains_are_told(nursing_homes: Twin) -> None:
    drawing = nursing_homes.graph.draw()
    shown = texts(drawing)
    assert "1 quarter later" in shown
    assert "own past: 1 quarter" in shown
    assert "dashed: hidden cause" in shown
    assert "stroke-dasharray" in drawing.svg
    for domain in {one.domain for one in nursing_homes.indicators.values()}:
        assert domain in shown


def test_every_domain_has_its_own_colour_and_its_own_shape() -> None:
    assert set(DOMAIN_STYLE) == set(DOMAINS)
    assert len({style.shape for style in DOMAIN_STYLE.values()}) == len(DOMAINS)
    assert len({style.stroke for style in DOMAIN_STYLE.values()}) == len(DOMAINS)
    for style in DOMAIN_STYLE.values():
        corners = outline(style.shape, 100, 40)
        assert max(abs(x) for x, _ in corners) == pytest.approx(50, abs=0.2)
        assert max(abs(y) for _, y in corners) == pytest.approx(20, abs=0.2)


def test_arrows_end_on_the_outline() -> None:
    assert reach("ellipse", 100, 40, 0.0, 1) == pytest.approx(50)
    assert reach("ellipse", 100, 40, 10.0, -1) == pytest.approx(50 * 0.75**0.5, abs=0.5)
    assert reach("hexagon", 100, 40, 20.0, 1) == pytest.approx(50 - 0.22 * 40)
    assert reach("arrow", 100, 40, 20.0, -1) == pytest.approx(50)


def test_a_drawing_shows_itself_and_is_saved_as_svg(nursing_homes: Twin, tmp_path: Path) -> None:
    drawing = nursing_homes.graph.draw()
    assert drawing._repr_svg_() == drawing.svg
    path = drawing.save(tmp_path / "graph.svg")
    assert path.read_text(encoding="utf-8") == drawing.svg
    with pytest.raises(ValueError, match=r"graph\.svg"):
        drawing.save(tmp_path / "graph.png")


def test_labels_are_escaped() -> None:
    twin = Twin(
        twin="a<b",
        panel={"unit": "home"},
        indicators={"x": {"domain": "cost", "label": "paid < owed & late"}},
    )
    drawing = twin.graph.draw()
    ElementTree.fromstring(drawing.svg)
    assert "paid &lt; owed &amp;" in drawing.svg


def test_the_drawing_is_the_same_in_every_process() -> None:
    code = (
        "from dotwin.spec.twin import Twin;import hashlib;"
        "t=Twin(twin='t',panel={'unit':'u'},indicators={n:{'domain':'cost','family':'normal',"
        "'causes':{c:{} for c in 'abcde'[:i]}} for i,n in enumerate('abcdef')});"
        "print(hashlib.sha256(t.graph.draw().svg.encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (0, 1)
    }
    assert len(digests) == 1

"""A report is well formed, self-contained, escaped, honest, and agrees with its JSON."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import dotwin as dw
from dotwin.errors import SpecificationError
from dotwin.reports.beliefs import STATUSES
from dotwin.reports.table import cell
from tests.reports.examples import AWKWARD, small_fit, small_futures

#: Elements that have no end tag.
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Reads a page, and remembers what is open, where text stands, and what is loaded."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.front: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"a handler on {tag}"
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.loads.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a beginning"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text.append(data)
        if "header" in self.open:
            self.front.append(data)


def words(parts: list[str]) -> str:
    return " ".join(" ".join(parts).split())


def test_page_is_well_formed(page: Path) -> None:
    read = Page(page.read_text(encoding="utf-8"))
    assert read.open == []
    assert {"html", "head", "body", "header", "section", "table", "svg"} <= set(read.tags)


def test_page_has_no_script_and_loads_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    read = Page(text)
    assert not {"script", "link", "iframe", "img", "object", "embed", "base"} & set(read.tags)
    assert [one for one in read.loads if not one.startswith("#")] == []
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text


def test_ids_are_unique_and_every_reference_has_its_target(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    read = Page(text)
    assert len(read.ids) == len(set(read.ids))
    wanted = {one[1:] for one in read.loads} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert wanted <= set(read.ids)


def test_text_of_the_twin_comes_through_as_text(page: Path) -> None:
    text = words(Page(page.read_text(encoding="utf-8")).text)
    for said in (
        "Does a <script>alert(1)</script> & other text come through as text?",
        AWKWARD,
        "small <twin> & co",
        "pay < market & people leave",
        "a <study>",
        "the <manager>",
        "decisions about one <home>",
    ):
        assert said in text


def test_front_has_question_uses_answers_and_what_must_be_believed(page: Path) -> None:
    content = json.loads(page.with_name("summary.json").read_text(encoding="utf-8"))
    front = words(Page(page.read_text(encoding="utf-8")).front)
    assert content["question"] in front
    assert "choosing where to look & what to ask" in front
    assert "decisions about one <home>" in front
    assert "does not replace it" in front
    for one in content["answers"]:
        assert one["question"] in front
        for compared in one["compared"]:
            assert " ".join(compared["sentence"].split()) in front
            assert "90 % interval" in compared["sentence"]
    for belief in content["beliefs"]:
        assert f"{' '.join(belief['claim'].split())} {belief['status']}" in front
        assert belief["status"] in STATUSES


def test_beliefs_name_every_claim_that_an_answer_rests_on(page: Path) -> None:
    content = json.loads(page.with_name("summary.json").read_text(encoding="utf-8"))
    claims = " ".join(one["claim"] for one in content["beliefs"])
    for part in (
        "Every direct cause is drawn",
        "unrecorded cause that changes over time",
        "No lasting trait",
        "No event of a month",
        "does not act on another",
        "one well-defined thing that can be done",
        "levels that ‘fill posts’ brings about",
        "goes on to hold",
    ):
        assert part in claims


def test_numbers_of_every_table_are_those_of_the_json(page: Path) -> None:
    content = json.loads(page.with_name("summary.json").read_text(encoding="utf-8"))
    text = words(Page(page.read_text(encoding="utf-8")).text)
    tables = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            if {"caption", "columns", "rows"} <= value.keys():
                tables.append(value)
            for one in value.values():
                collect(one)
        elif isinstance(value, list):
            for one in value:
                collect(one)

    collect(content)
    assert len(tables) > 15
    for table in tables:
        for row in table["rows"]:
            assert len(row) == len(table["columns"])
            assert words([cell(value) for value in row]) in text
        if {"5 %", "95 %"} <= set(table["columns"]):
            assert "interval" in table["interval"]


def test_finding_of_the_json_is_the_contrast_of_the_futures(page: Path) -> None:
    content = json.loads(page.with_name("summary.json").read_text(encoding="utf-8"))
    finding = content["answers"][0]["compared"][0]["finding"]
    contrast = small_futures(False).contrast("fill posts", replicates=8)
    row = contrast.summary(on="missed / visits").iloc[-1]
    for key, column in (("mean", "mean"), ("5%", "5%"), ("95%", "95%")):
        assert finding[key] == pytest.approx(100 * row[column], rel=1e-9)


def test_scenario_that_extends_another_is_compared_with_it_too(page: Path) -> None:
    content = json.loads(page.with_name("summary.json").read_text(encoding="utf-8"))
    against = {
        one["scenario"]: [c["against"] for c in one["compared"]] for one in content["answers"]
    }
    assert against == {"fill posts": ["baseline"], "fill posts and pay": ["baseline", "fill posts"]}


def test_identified_effect_is_not_called_an_association(page: Path) -> None:
    front = words(Page(page.read_text(encoding="utf-8")).front)
    assert "Not identified" not in front
    assert "identified: yes" in front


def test_unidentified_effect_is_called_an_association_with_its_open_path(page_hidden: Path) -> None:
    front = words(Page(page_hidden.read_text(encoding="utf-8")).front)
    assert "association under the declared graph, not an effect" in front
    assert "vacancy ← management → missed" in front
    assert "identified: no, assumed" in front
    assert "Management, which nobody records, moves" in front
    text = words(Page(page_hidden.read_text(encoding="utf-8")).text)
    assert "Management is not recorded" in text


def test_largest_harm_is_printed_where_no_difference_is_seen() -> None:
    from dotwin.reports.answers import answers

    (one, *_) = answers(small_futures(False))
    for finding in one.answers[0].findings:
        if finding.low <= 0 <= finding.high and finding.low < finding.high:
            assert "no proof of safety" in finding.sentence
            assert "not ruled out" in finding.sentence
        if finding.worse == "higher":
            assert finding.harm == max(0.0, finding.high)


def test_report_without_futures_says_what_was_fitted(tmp_path: Path) -> None:
    path = dw.report(small_fit(False), path=tmp_path / "fit.html", question="What was fitted?")
    read = Page(path.read_text(encoding="utf-8"))
    assert "What was fitted?" in words(read.front)
    assert "If something is done" not in words(read.text)


def test_futures_of_another_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="another fit"):
        dw.report(small_fit(False), small_futures(True), path=tmp_path / "r.html")


def test_path_that_is_no_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"report\.html"):
        dw.report(small_fit(False), path=tmp_path / "report.pdf")


def test_report_leaves_nothing_half_written(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("the old one", encoding="utf-8")

    def broken(*_: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr("dotwin.reports.page.render", broken)
    with pytest.raises(RuntimeError, match="no page"):
        dw.report(small_fit(False), path=path)
    assert path.read_text(encoding="utf-8") == "the old one"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_backtest_decides_whether_the_future_is_like_the_past(tmp_path: Path) -> None:
    from dataclasses import replace

    from tests.plots.test_backtest import made_up

    fit = small_fit(False)
    tested = replace(fit, notes={"backtest": made_up()})
    futures = replace(small_futures(False), run=replace(small_futures(False).run, fit=tested))
    path = dw.report(tested, futures, path=tmp_path / "report.html")
    content = json.loads(path.with_name("summary.json").read_text(encoding="utf-8"))
    (belief,) = [b for b in content["beliefs"] if "goes on to hold" in b["claim"]]
    assert belief["status"] != "not tested"
    assert content["backtest"]["done"]
    text = words(Page(path.read_text(encoding="utf-8")).text)
    assert "Did past forecasts hold what they promised?" in text
    assert "falls & slips" in text

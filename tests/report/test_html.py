"""The page: escaped, self-contained, readable without a script, its figures with data and words."""

from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from metasight.report.document import compose
from metasight.report.html import to_html

from .pages import Page

VOID = {"meta", "link", "br", "col", "img", "input", "hr"}


@pytest.fixture(scope="module")
def page(survival) -> Page:
    return Page(to_html(compose(survival)))


def test_tags_are_closed_in_order(page):
    class Checker(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.wrong = [], []

        def handle_starttag(self, tag, attrs):
            if tag not in VOID:
                self.open.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            if not self.open or self.open.pop() != tag:
                self.wrong.append(tag)

    checker = Checker()
    checker.feed(page.source)
    assert not checker.wrong
    assert not checker.open


def test_hostile_text_is_printed_and_never_read_as_markup(hostile):
    source = to_html(compose(hostile))
    assert "<script" not in source
    text = Page(source).text
    assert 'Tumour <script>alert("1")</script> & #set $x^2$ *bold*' in text


def test_what_scrolls_is_reached_by_keyboard_and_has_a_name(page):
    named = {a["id"] for _, a in page.tags if "id" in a}
    scrolling = [a for _, a in page.tags if a.get("class") in {"table", "drawing"}]
    assert len(scrolling) > 10
    for attributes in scrolling:
        assert attributes["tabindex"] == "0"
        assert attributes["role"] == "region"
        assert attributes["aria-labelledby"] in named


def test_nothing_is_fetched(page):
    fetched = [
        a[k]
        for tag, a in page.tags
        for k in ("src", "href", "xlink:href", "data", "poster")
        if k in a and tag != "a"
    ]
    assert all(v.startswith("#") for v in fetched)
    assert "url(http" not in page.source
    assert "@import" not in page.source
    assert not [t for t, _ in page.tags if t in {"script", "iframe", "img", "link", "object"}]
    outside = [
        a["href"] for tag, a in page.tags if tag == "a" and not a["href"].startswith(("#", "data:"))
    ]
    assert all(h.startswith("https://clinicaltrials.gov/") for h in outside)


def test_every_drawing_has_words(page):
    drawings = [a for tag, a in page.tags if tag == "svg"]
    assert len(drawings) >= 9
    ids = {a["id"] for _, a in page.tags if "id" in a}
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert set(drawing["aria-labelledby"].split()) <= ids
    assert page.source.count("<desc ") == len(drawings)


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    inner = [a["href"][1:] for tag, a in page.tags if tag == "a" and a["href"].startswith("#")]
    assert set(inner) <= set(ids)
    assert all(r in ids for r in re.findall(r"url\(#([^)]+)\)", page.source))


def test_data_of_a_figure_are_its_numbers(page, survival):
    links = {a["download"]: a["href"] for _, a in page.tags if "download" in a}
    assert len(links) == page.source.count("<figcaption ")
    head, coded = links["discrimination-figure.csv"].split(",", 1)
    assert head == "data:text/csv;charset=utf-8;base64"
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(coded).decode("utf-8"))))
    shown = {(r["line"], r["measure"]): float(r["value"]) for r in rows}
    models = survival.analyses[0].evaluation.models
    lead = models["clinical + maps"]
    assert shown["clinical + maps (headline)", "Harrell’s C"] == lead.harrell_c.value
    assert shown["clinical + maps (headline)", "AUC at 5 years"] == lead.targets[0].auc.value


def test_tables_are_marked_up_for_who_cannot_see_them(page):
    assert page.source.count("<caption") == page.source.count("<table>")
    assert {a.get("scope") for tag, a in page.tags if tag == "th"} == {"col", "row", "rowgroup"}


def test_structure(page):
    html = next(a for tag, a in page.tags if tag == "html")
    assert html["lang"] == "en-GB"
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert any(a.get("class") == "skip" and a["href"] == "#main" for _, a in page.tags)


def test_same_contents_give_the_same_bytes(survival, page):
    assert to_html(compose(survival)) == page.source

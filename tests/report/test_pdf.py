"""The PDF: tagged, titled, complete, and the same bytes each time."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from pypdf import PdfReader

from metasight.report.blocks import Figure, Heading
from metasight.report.document import compose
from metasight.report.pdf import to_pdf


@pytest.fixture(scope="module")
def document(survival):
    return compose(survival)


@pytest.fixture(scope="module")
def pdf(document) -> bytes:
    return to_pdf(document)


def text_of(data: bytes) -> str:
    pages = PdfReader(io.BytesIO(data)).pages
    return " ".join(" ".join(p.extract_text() for p in pages).replace("\u00a0", " ").split())


def elements(node, found):
    """Structure elements below a node, depth first."""
    node = node.get_object()
    if "/S" in node:
        found.append(node)
    kids = node.get("/K", [])
    for kid in kids if isinstance(kids, list) else [kids]:
        below = kid.get_object()
        if hasattr(below, "get") and ("/S" in below or "/K" in below):
            elements(below, found)
    return found


def test_tagged_and_named(pdf):
    root = PdfReader(io.BytesIO(pdf)).trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712
    assert root["/Lang"].startswith("en")
    assert root["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
    reader = PdfReader(io.BytesIO(pdf))
    assert reader.metadata.title == "A study of made-up patients"
    assert "pdfuaid" in root["/Metadata"].get_data().decode("utf-8", "replace")


def test_figures_have_words_and_tables_have_heads(pdf, document):
    found = elements(PdfReader(io.BytesIO(pdf)).trailer["/Root"]["/StructTreeRoot"], [])
    figures = [e for e in found if e["/S"] == "/Figure"]
    assert len(figures) >= 9
    assert all(e.get("/Alt") for e in figures)
    kinds = {e["/S"] for e in found}
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/L", "/TOC", "/Caption"} <= kinds


def test_data_of_the_figures_are_attached(pdf, document):
    attached = PdfReader(io.BytesIO(pdf)).attachments
    figures = [b for b in document.blocks if isinstance(b, Figure)]
    for figure in figures:
        assert attached[f"{figure.anchor}.csv"][0].decode("utf-8") == figure.data


def test_a_title_in_any_letters_is_typeset(null_signal):
    title = "乳腺癌 Fernmetastasen größer отдалённые"
    assert to_pdf(compose(replace(null_signal, title=title))).startswith(b"%PDF-")


def test_every_section_is_in_the_text(pdf, document):
    text = text_of(pdf)
    for block in (*document.front, *document.blocks):
        if isinstance(block, Heading):
            assert block.text in text, block.text
    assert "Research software, not a medical device" in text


def test_same_contents_give_the_same_bytes(pdf, survival):
    assert to_pdf(compose(survival)) == pdf


def test_hostile_text_is_printed_as_it_stands(hostile):
    text = text_of(to_pdf(compose(hostile)))
    for part in ('<script>alert("1")</script>', "#set", "$x^2$", "*bold*", "_it_", "@ref"):
        assert part in text, part


def test_nodal_stage_is_typeset(nodal):
    text = text_of(to_pdf(compose(nodal)))
    assert "Ordinal C" in text
    assert "AUC for N1 or worse" in text

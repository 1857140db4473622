"""The Word file: Word's own styles, the words of the HTML page in its order, figures as PNG."""

from __future__ import annotations

import html
import io
import re
import zipfile
from xml.etree import ElementTree

import pytest

from metasight.errors import StudyError
from metasight.report import word
from metasight.report.blocks import DataTable, Document, Figure, Heading, resolved
from metasight.report.document import compose
from metasight.report.html import to_html
from metasight.report.word import to_word

docx = pytest.importorskip("docx")
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


@pytest.fixture(scope="module")
def document(survival) -> Document:
    return compose(survival)


@pytest.fixture(scope="module")
def made(document) -> bytes:
    return to_word(document)


def words(text: str) -> list[str]:
    return " ".join(text.split()).replace("\u00a0", " ").split()


def of_word(made: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        root = ElementTree.fromstring(archive.read("word/document.xml"))
    paragraphs = ["".join(t.text or "" for t in p.iter(f"{W}t")) for p in root.iter(f"{W}p")]
    return words(" ".join(paragraphs))


def of_html(page: str) -> list[str]:
    body = page[page.index("<header>") : page.index("<footer>")]
    body = re.sub(r"<svg.*?</svg>", " ", body, flags=re.DOTALL)
    body = re.sub(r'<a class="data".*?</a>|<summary>.*?</summary>', " ", body, flags=re.DOTALL)
    body = re.sub(r"</?(p|h\d|td|th|tr|li|dt|dd|div|caption|figcaption|pre|nav)\b[^>]*>", " ", body)
    return words(html.unescape(re.sub(r"<[^>]+>", "", body)))


def test_it_has_the_words_of_the_html_page_in_the_same_order(document, made) -> None:
    assert of_word(made) == of_html(to_html(document))
    assert len(of_word(made)) > 3000


def test_headings_captions_and_tables_are_words_own(document, made) -> None:
    read = docx.Document(io.BytesIO(made))
    blocks = (*document.front, *document.blocks)
    styles = [p.style.name for p in read.paragraphs]
    assert styles.count("Heading 1") == sum(isinstance(b, Heading) and b.level == 1 for b in blocks)
    assert styles.count("Heading 2") == sum(isinstance(b, Heading) and b.level == 2 for b in blocks)
    captioned = sum(isinstance(b, Figure | DataTable) for b in blocks)
    assert styles.count("Caption") == captioned
    heads = [t for t in read.tables if t.rows[0]._tr.findall(f".//{W}tblHeader")]
    assert len(heads) == sum(isinstance(b, DataTable) for b in blocks)


def test_every_figure_is_a_png_with_words_for_who_cannot_see_it(document, made) -> None:
    figures = [b for b in (*document.front, *document.blocks) if isinstance(b, Figure)]
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        pictures = [n for n in archive.namelist() if n.startswith("word/media/")]
        raw = {archive.read(n)[:8] for n in pictures}
        body = archive.read("word/document.xml").decode()
    assert raw == {b"\x89PNG\r\n\x1a\n"}
    assert body.count("<pic:pic") == len(figures) >= 9
    assert all(html.escape(f.alt, quote=False)[:40] in html.unescape(body) for f in figures)


def test_links_lead_to_bookmarks_that_are_there(made) -> None:
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        root = ElementTree.fromstring(archive.read("word/document.xml"))
    marks = [m.get(f"{W}name") for m in root.iter(f"{W}bookmarkStart")]
    asked = {h.get(f"{W}anchor") for h in root.iter(f"{W}hyperlink")} - {None}
    assert len(set(marks)) == len(marks)
    assert asked <= set(marks) and len(asked) > 10


def test_the_same_document_has_the_same_bytes_and_no_time(document, made) -> None:
    assert to_word(document) == made
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        core = archive.read("docProps/core.xml").decode()
        assert {i.date_time[0] for i in archive.infolist()} == {1980}
    assert "created" not in core and "python-docx" not in core


def test_what_may_not_be_used_is_said_on_the_first_page(document, made) -> None:
    said = " ".join(of_word(made)[:400])
    assert "Research software, not a medical device" in said
    read = docx.Document(io.BytesIO(made))
    assert "not a medical device" in read.sections[0].footer.paragraphs[0].text


def test_text_is_no_markup(document) -> None:
    from dataclasses import replace

    odd = replace(document, title="<w:p> & {MERGEFIELD} =1+1")
    assert "<w:p>" in of_word(to_word(odd))
    assert resolved(odd)["title"] == odd.title


def test_without_the_library_it_says_what_to_install(document, monkeypatch) -> None:
    monkeypatch.setattr(word, "find_spec", lambda _: None)
    with pytest.raises(StudyError, match=r"metasight\[exchange\]"):
        to_word(document)

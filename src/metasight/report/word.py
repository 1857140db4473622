"""A document as Word (docx): the words, tables and figures of the HTML page, to be edited on.

Figures are PNG, drawn from the same SVG; headings, captions, lists and table heads are Word's own
styles, so that contents and a journal's template take them. Written with python-docx.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metasight.errors import StudyError
from metasight.report.blocks import Document, resolved
from metasight.report.drawing import has_letters_for

PICTURE_PPI = 220
_PAGE_MM, _TEXT_MM = (210, 297), 170
_CODE_FONT = "Consolas"
_CALLOUTS = {"warning": "FFF1E5", "finding": "F3F3F0", "author": "F6F0FA"}
_HEAD = "EDEDED"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of the files in the archive: the earliest that zip has, so that the bytes stay the same."""
Parts = Sequence[Mapping[str, str]]


def require_word() -> None:
    """Refuse where python-docx is missing.

    Raises
    ------
    StudyError
        It is not installed.
    """
    if find_spec("docx") is None:
        raise StudyError(
            "Word files are written with python-docx, which is not installed",
            remedy="pip install 'metasight[exchange]'",
        )


def to_word(document: Document) -> bytes:
    """Render a document; the same document gives the same bytes.

    Raises
    ------
    StudyError
        python-docx is not installed.
    """
    require_word()
    data = resolved(document)
    page = _Page(data, _pictures(data))
    for block in (*data["front"], *data["blocks"]):
        page.add(block)
    return _same_bytes(page.saved())


def _pictures(data: Mapping[str, Any]) -> dict[str, bytes]:
    """Anchor of a figure → PNG, drawn by typst as for the PDF."""
    import matplotlib
    import typst

    figures = [b for b in (*data["front"], *data["blocks"]) if b["b"] == "figure"]
    if not figures:
        return {}
    with tempfile.TemporaryDirectory(prefix="metasight-report-") as name:
        folder = Path(name)
        lines = ["#set page(width: auto, height: auto, margin: 0pt)"]
        for number, figure in enumerate(figures):
            (folder / f"{number}.svg").write_text(figure["svg"], "utf-8")
            lines.append(f'#image("{number}.svg", width: {figure["width_pt"]}pt)')
            lines.append("#pagebreak(weak: true)")
        source = folder / "figures.typ"
        source.write_text("\n".join(lines), "utf-8")
        made = typst.compile(
            str(source),
            root=str(folder),
            font_paths=[str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")],
            ignore_system_fonts=has_letters_for(json.dumps(data, ensure_ascii=False)),
            format="png",
            ppi=PICTURE_PPI,
        )
    pages = made if isinstance(made, list) else [made]
    return {f["anchor"]: bytes(p) for f, p in zip(figures, pages, strict=True)}


class _Page:
    """A Word document that blocks are added to."""

    def __init__(self, data: Mapping[str, Any], pictures: Mapping[str, bytes]) -> None:
        import docx
        from docx.shared import Mm, Pt

        self._pictures = pictures
        self._bookmarks = 0
        self._docx = docx.Document()
        section = self._docx.sections[0]
        section.page_width, section.page_height = (Mm(v) for v in _PAGE_MM)
        section.left_margin = section.right_margin = Mm((_PAGE_MM[0] - _TEXT_MM) / 2)
        section.header.paragraphs[0].text = data["running"]
        section.footer.paragraphs[0].text = data["foot"]
        self._docx.styles["Normal"].font.name = "Calibri"
        self._docx.styles["Normal"].font.size = Pt(10.5)
        self._about(data)
        self._docx.add_paragraph(data["kind"], style="Subtitle")
        self._docx.add_paragraph(data["title"], style="Title")
        for entry in data["contents"]:
            if entry["level"] == 1:
                line = self._docx.add_paragraph()
                _link(line, f"{entry['number']} {entry['text']}", anchor=entry["anchor"])

    def _about(self, data: Mapping[str, Any]) -> None:
        about = self._docx.core_properties
        about.title, about.comments = data["title"], data["description"]
        about.author, about.language = "metasight", "en-GB"
        for child in list(about._element):  # when the template was made says nothing of the study
            if child.tag.endswith(("}created", "}modified")):
                about._element.remove(child)

    def add(self, block: Mapping[str, Any]) -> None:
        """Add one block at the end."""
        getattr(self, f"_{block['b']}")(block)

    def saved(self) -> bytes:
        """The file."""
        out = io.BytesIO()
        self._docx.save(out)
        return out.getvalue()

    def _heading(self, block: Mapping[str, Any]) -> None:
        line = self._docx.add_heading(f"{block['number']} {block['text']}", level=block["level"])
        self._mark(line, block["anchor"])

    def _paragraph(self, block: Mapping[str, Any]) -> None:
        from docx.shared import Pt

        line = self._docx.add_paragraph()
        _write(line, block["text"])
        if block["lead"]:
            for run in line.runs:
                run.font.size = Pt(12)

    def _list(self, block: Mapping[str, Any]) -> None:
        for item in block["items"]:
            _write(self._docx.add_paragraph(style="List Bullet"), item)

    def _facts(self, block: Mapping[str, Any]) -> None:
        table = self._docx.add_table(rows=0, cols=2)
        for name, value in block["items"]:
            row = table.add_row()
            row.cells[0].paragraphs[0].add_run(name).bold = True
            _write(row.cells[1].paragraphs[0], value)
        self._docx.add_paragraph()

    def _callout(self, block: Mapping[str, Any]) -> None:
        table = self._docx.add_table(rows=1, cols=1)
        table.style = "Table Grid"
        cell = table.rows[0].cells[0]
        _shade(cell, _CALLOUTS[block["kind"]])
        cell.paragraphs[0].add_run(block["title"]).bold = True
        for text in block["paragraphs"]:
            _write(cell.add_paragraph(), text)
        self._docx.add_paragraph()

    def _listing(self, block: Mapping[str, Any]) -> None:
        for text in block["text"].split("\n"):
            self._close(text).font.name = _CODE_FONT

    def _figure(self, block: Mapping[str, Any]) -> None:
        from docx.shared import Mm, Pt

        line = self._docx.add_paragraph()
        line.paragraph_format.keep_with_next = True
        width = min(Pt(block["width_pt"]), Mm(_TEXT_MM))
        picture = line.add_run().add_picture(
            io.BytesIO(self._pictures[block["anchor"]]), width=width
        )
        about = picture._inline.docPr
        about.set("descr", block["alt"])
        about.set("title", block["number"])
        caption = self._docx.add_paragraph(style="Caption")
        self._mark(caption, block["anchor"])
        caption.add_run(f"{block['number']}. {block['caption']}")

    def _table(self, block: Mapping[str, Any]) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH

        caption = self._docx.add_paragraph(style="Caption")
        caption.paragraph_format.keep_with_next = True
        self._mark(caption, block["anchor"])
        caption.add_run(f"{block['number']}. {block['caption']}")
        columns = block["columns"]
        table = self._docx.add_table(rows=1, cols=len(columns))
        table.style = "Table Grid"
        for cell, column in zip(table.rows[0].cells, columns, strict=True):
            cell.paragraphs[0].add_run(column["text"]).bold = True
            _shade(cell, _HEAD)
        _repeat(table.rows[0])
        for told in block["rows"]:
            row = table.add_row()
            _keep_whole(row)
            cells = row.cells
            if told["group"]:
                cells = [row.cells[0].merge(row.cells[-1])]
            for number, (cell, text) in enumerate(zip(cells, told["cells"], strict=True)):
                line = cell.paragraphs[0]
                _write(line, text, bold=told["group"] or (told["strong"] and number == 0))
                if columns[number]["numeric"] and not told["group"]:
                    line.alignment = WD_ALIGN_PARAGRAPH.CENTER
                if told["indent"] and number == 0:
                    line.paragraph_format.left_indent = 120_000
        _widen(table, [c["weight"] for c in columns])
        self._small(table)
        for note in block["notes"]:
            self._note(note)
        self._docx.add_paragraph()

    def _small(self, table: Any) -> None:
        from docx.shared import Pt

        for row in table.rows:
            for line in (p for cell in row.cells for p in cell.paragraphs):
                line.paragraph_format.space_after = Pt(0)
                for run in line.runs:
                    run.font.size = Pt(8.5)

    def _note(self, text: str) -> None:
        from docx.shared import Pt

        self._close(text).font.size = Pt(8.5)

    def _close(self, text: str) -> Any:
        """A line without space below it; its run of text."""
        from docx.shared import Pt

        line = self._docx.add_paragraph()
        line.paragraph_format.space_after = Pt(0)
        return line.add_run(text)

    def _mark(self, line: Any, anchor: str) -> None:
        """A bookmark round a paragraph's text, to which links of the document lead."""
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn

        self._bookmarks += 1
        start, end = OxmlElement("w:bookmarkStart"), OxmlElement("w:bookmarkEnd")
        for element in (start, end):
            element.set(qn("w:id"), str(self._bookmarks))
        start.set(qn("w:name"), bookmark(anchor))
        line._p.append(start)
        line._p.append(end)


def bookmark(anchor: str) -> str:
    """A name that Word takes: letters, digits and underscores, at most 40."""
    return "".join(c if c.isalnum() else "_" for c in f"b_{anchor}")[:40]


def _write(line: Any, parts: Parts, *, bold: bool = False) -> None:
    for part in parts:
        if part["t"] == "ref":
            _link(line, part["text"], anchor=part["anchor"])
        elif part["t"] == "link":
            _link(line, part["text"], address=part["href"])
        else:
            run = line.add_run(part["text"])
            run.bold = True if bold or part["t"] == "strong" else None
            if part["t"] == "code":
                run.font.name = _CODE_FONT


def _link(line: Any, text: str, *, anchor: str = "", address: str = "") -> None:
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    link = OxmlElement("w:hyperlink")
    if anchor:
        link.set(qn("w:anchor"), bookmark(anchor))
    else:
        place = line.part.relate_to(address, RELATIONSHIP_TYPE.HYPERLINK, is_external=True)
        link.set(qn("r:id"), place)
    run = line.add_run(text)
    run.font.underline = bool(address)
    link.append(run._r)
    line._p.append(link)


def _widen(table: Any, weights: Sequence[float | None]) -> None:
    """Columns by their share of the page, where the table says one."""
    from docx.shared import Mm

    if not any(weights):
        return
    shares = [w or 1.0 for w in weights]
    table.autofit = False
    for column, share in zip(table.columns, shares, strict=True):
        column.width = Mm(_TEXT_MM * share / sum(shares))
        for cell in column.cells:
            cell.width = Mm(_TEXT_MM * share / sum(shares))


def _shade(cell: Any, colour: str) -> None:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    shade = OxmlElement("w:shd")
    shade.set(qn("w:val"), "clear")
    shade.set(qn("w:fill"), colour)
    cell._tc.get_or_add_tcPr().append(shade)


def _repeat(row: Any) -> None:
    """The head of a table on every page that it runs over."""
    from docx.oxml import OxmlElement

    row._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))


def _keep_whole(row: Any) -> None:
    from docx.oxml import OxmlElement

    row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))


def _same_bytes(made: bytes) -> bytes:
    """The same archive without the time at which it was made."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(made)) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for member in source.infolist():
            about = zipfile.ZipInfo(member.filename, _EPOCH)
            about.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(about, source.read(member))
    return out.getvalue()

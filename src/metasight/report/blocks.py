"""What a report is made of: one tree of blocks that every renderer reads.

Sections build these blocks and know nothing of HTML or PDF; the renderers know nothing of
medicine. Text is plain: nothing in it is markup, so a title with ``#``, ``$`` or ``<`` is printed
as it stands. :func:`resolved` numbers sections, tables and figures and gives plain data, which is
all that the two templates see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Strong:
    """Text that matters more."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text to be taken literally: a hash, a file, a setting."""

    text: str


@dataclass(frozen=True)
class Link:
    """Text that leads to an address outside; nothing is ever fetched from it."""

    text: str
    href: str


@dataclass(frozen=True)
class Ref:
    """Number of a section, table or figure of this report, linked to it."""

    anchor: str


Inline = str | Strong | Code | Link | Ref
Text = str | tuple[Inline, ...]


@dataclass(frozen=True)
class Heading:
    """Starts a section (level 1) or subsection (level 2).

    Attributes
    ----------
    anchor
        Stable name that a :class:`Ref` or a link can point to.
    """

    level: Literal[1, 2]
    text: str
    anchor: str


@dataclass(frozen=True)
class Paragraph:
    """Running text; ``lead`` is set larger."""

    text: Text
    lead: bool = False


@dataclass(frozen=True)
class BulletList:
    """One point a line."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and a value, such as the particulars of a title page.

    Attributes
    ----------
    panel
        Shown as large figures side by side, for the few numbers of a summary.
    """

    items: tuple[tuple[str, Text], ...]
    panel: bool = False


@dataclass(frozen=True)
class Callout:
    """A framed note.

    Attributes
    ----------
    kind
        ``warning`` what a reader must not miss, ``finding`` what the run found, ``author`` what
        is left for the authors to write.
    """

    kind: Literal["warning", "finding", "author"]
    title: str
    paragraphs: tuple[Text, ...]


@dataclass(frozen=True)
class Column:
    """Head of a table column.

    Attributes
    ----------
    text
        Head, never empty: a reader for the blind says it before each value.
    numeric
        Figures, centred under their head; text is set from the left.
    weight
        Share of the page's width; None for as wide as the content.
    """

    text: str
    numeric: bool = False
    weight: float | None = None

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError("a column has no head")


def numeric(text: str, weight: float | None = None) -> Column:
    """Head of a column of figures."""
    return Column(text, numeric=True, weight=weight)


@dataclass(frozen=True)
class Row:
    """Cells of a row; the first is its head.

    Attributes
    ----------
    group
        A line across the table that heads the rows below; it has one cell.
    indent
        A level of the variable above.
    strong
        The row to look at.
    """

    cells: tuple[Text, ...]
    group: bool = False
    indent: bool = False
    strong: bool = False


@dataclass(frozen=True)
class DataTable:
    """A table with its caption above and its notes below."""

    anchor: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != (1 if row.group else len(self.columns)):
                raise ValueError(f"table {self.anchor!r}: a row has {len(row.cells)} cells")


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes
    ----------
    svg
        Complete ``<svg>`` element with a ``<title>`` and a ``<desc>``.
    width_pt
        Width at print size.
    alt
        What it shows, for who cannot see it.
    data
        The plotted numbers as CSV.
    floats
        Whether a printed page may set it at its foot, after text that follows it.
    """

    anchor: str
    svg: str
    width_pt: float
    alt: str
    caption: str
    data: str
    floats: bool = False


@dataclass(frozen=True)
class Listing:
    """Lines to be taken literally."""

    text: str


Block = Heading | Paragraph | BulletList | Facts | Callout | DataTable | Figure | Listing


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes
    ----------
    title, kind
        Of the study; what sort of document it is.
    running
        Head of every printed page.
    foot
        Foot of every printed page.
    description
        For the file's metadata.
    front
        Title block and summary, before the table of contents.
    blocks
        The rest, in order.
    """

    title: str
    kind: str
    running: str
    foot: str
    description: str
    front: tuple[Block, ...]
    blocks: tuple[Block, ...]


def numbers(document: Document) -> dict[str, str]:
    """Anchor → ``Section 4.2``, ``Table 3`` or ``Figure 2``, in reading order.

    Raises
    ------
    ValueError
        Two blocks share an anchor.
    """
    found: dict[str, str] = {}
    section = subsection = tables = figures = 0
    for block in (*document.front, *document.blocks):
        match block:
            case Heading(level=1):
                section, subsection = section + 1, 0
                number = f"Section {section}"
            case Heading():
                subsection += 1
                number = f"Section {section}.{subsection}"
            case DataTable():
                tables += 1
                number = f"Table {tables}"
            case Figure():
                figures += 1
                number = f"Figure {figures}"
            case _:
                continue
        if block.anchor in found:
            raise ValueError(f"two blocks are called {block.anchor!r}")
        found[block.anchor] = number
    return found


def resolved(document: Document) -> dict[str, Any]:
    """Plain data of a document with every number and reference filled in.

    A text becomes a list of ``{"t": kind, "text": …}``; a reference to an anchor that the
    document lacks becomes plain words, for a section may be absent where a study has nothing
    to say in it.
    """
    known = numbers(document)
    contents = [
        {"level": b.level, "text": b.text, "anchor": b.anchor, "number": known[b.anchor].split()[1]}
        for b in (*document.front, *document.blocks)
        if isinstance(b, Heading)
    ]
    return {
        "title": document.title,
        "kind": document.kind,
        "running": document.running,
        "foot": document.foot,
        "description": document.description,
        "contents": contents,
        "front": [_block(b, known) for b in document.front],
        "blocks": [_block(b, known) for b in document.blocks],
    }


def _text(text: Text, known: dict[str, str]) -> list[dict[str, str]]:
    parts: list[dict[str, str]] = []
    for part in (text,) if isinstance(text, str) else text:
        match part:
            case str():
                parts.append({"t": "plain", "text": part})
            case Strong():
                parts.append({"t": "strong", "text": part.text})
            case Code():
                parts.append({"t": "code", "text": part.text})
            case Link():
                parts.append({"t": "link", "text": part.text, "href": part.href})
            case Ref() if part.anchor in known:
                parts.append({"t": "ref", "text": known[part.anchor], "anchor": part.anchor})
            case Ref():
                parts.append({"t": "plain", "text": "not in this report"})
    return parts


def _block(block: Block, known: dict[str, str]) -> dict[str, Any]:
    match block:
        case Heading():
            number = known[block.anchor].split()[1]
            return {
                "b": "heading",
                "level": block.level,
                "text": block.text,
                "anchor": block.anchor,
                "number": number,
            }
        case Paragraph():
            return {"b": "paragraph", "text": _text(block.text, known), "lead": block.lead}
        case BulletList():
            return {"b": "list", "items": [_text(i, known) for i in block.items]}
        case Facts():
            items = [[name, _text(value, known)] for name, value in block.items]
            return {"b": "facts", "items": items, "panel": block.panel}
        case Callout():
            texts = [_text(p, known) for p in block.paragraphs]
            return {"b": "callout", "kind": block.kind, "title": block.title, "paragraphs": texts}
        case Figure():
            return {
                "b": "figure",
                "anchor": block.anchor,
                "number": known[block.anchor],
                "svg": block.svg,
                "width_pt": block.width_pt,
                "alt": block.alt,
                "caption": block.caption,
                "data": block.data,
                "floats": block.floats,
            }
        case Listing():
            return {"b": "listing", "text": block.text}
        case DataTable():
            return _table(block, known)


def _table(table: DataTable, known: dict[str, str]) -> dict[str, Any]:
    return {
        "b": "table",
        "anchor": table.anchor,
        "number": known[table.anchor],
        "caption": table.caption,
        "columns": [
            {"text": c.text, "numeric": c.numeric, "weight": c.weight} for c in table.columns
        ],
        "rows": [
            {
                "cells": [_text(c, known) for c in row.cells],
                "group": row.group,
                "indent": row.indent,
                "strong": row.strong,
            }
            for row in table.rows
        ],
        "notes": list(table.notes),
    }

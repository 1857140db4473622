"""A document as one HTML page that fetches nothing and needs no script."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from metasight.report.blocks import Document, resolved


def to_html(document: Document) -> str:
    """Render a document; every text is escaped by the template engine."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    here = files("metasight.report")
    data = resolved(document)
    for block in (*data["front"], *data["blocks"]):
        if block["b"] == "figure":
            # Drawn by metasight.report.drawing, which escapes what it prints.
            block["drawing"] = Markup(block["svg"])  # noqa: S704
            block["href"] = _data_address(block["data"])
        if block["b"] == "table":
            block["parts"] = list(_parts(block["rows"]))
            block["total"] = sum(c["weight"] or 0 for c in block["columns"])
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((here / "report.html.j2").read_text("utf-8"))
    css = Markup((here / "report.css").read_text("utf-8"))  # noqa: S704
    return template.render(d=data, css=css)


def _data_address(text: str) -> str:
    coded = base64.b64encode(text.encode("utf-8")).decode("ascii")
    return f"data:text/csv;charset=utf-8;base64,{coded}"


def _parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows by the group line that heads them, each its own ``tbody``."""
    part: list[dict[str, Any]] = []
    for row in rows:
        if row["group"] and part:
            yield part
            part = []
        part.append(row)
    if part:
        yield part

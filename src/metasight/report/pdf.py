"""A document as a tagged PDF (PDF/UA-1) with its figures' data attached, typeset by typst."""

from __future__ import annotations

import json
import tempfile
from importlib.resources import files
from pathlib import Path

from metasight.report.blocks import Document, resolved
from metasight.report.drawing import has_letters_for


def to_pdf(document: Document) -> bytes:
    """Typeset a document; the same document gives the same bytes.

    Libertinus is embedded in typst and DejaVu Sans comes with matplotlib, so that a machine
    without any fonts sets the same pages. Only a text with letters that neither has (a title in
    Chinese) is set with fonts of the machine.
    """
    import matplotlib
    import typst

    data = resolved(document)
    with tempfile.TemporaryDirectory(prefix="metasight-report-") as name:
        folder = Path(name)
        for block in (*data["front"], *data["blocks"]):
            if block["b"] == "figure":
                block["file"] = f"{block['anchor']}.svg"
                (folder / block["file"]).write_text(block.pop("svg"), "utf-8")
                block["table"] = f"{block['anchor']}.csv"
                (folder / block["table"]).write_text(block.pop("data"), "utf-8", newline="")
        told = json.dumps(data, ensure_ascii=False)
        (folder / "document.json").write_text(told, "utf-8")
        source = folder / "report.typ"
        source.write_bytes((files("metasight.report") / "report.typ").read_bytes())
        made = typst.compile(
            str(source),
            root=str(folder),
            font_paths=[str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")],
            ignore_system_fonts=has_letters_for(told),
            format="pdf",
            pdf_standards="ua-1",
            timestamp=0,
        )
    return bytes(made)

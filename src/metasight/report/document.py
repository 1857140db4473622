"""Placeholder until the report lands."""
from __future__ import annotations
from pathlib import Path
from metasight.report.contents import ReportContents
def write_report(contents: ReportContents, out: Path) -> None:
    """Write nothing yet."""
    (out / "report.html").write_text(contents.title)

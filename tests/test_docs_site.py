"""The documentation as a site: every link and heading is there, and no page asks another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from source_texts import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    loaded = re.compile(r'<(?:script|img|link|iframe)[^>]*?(?:src|href)="?(?:https?:)?//[^">\s]*')
    assert {p.name: found for p in pages if (found := loaded.findall(p.read_text("utf-8")))} == {}
    styles = [p.read_text("utf-8") for p in site.rglob("*.css")]
    assert not [s for s in styles if re.search(r"url\(\s*[\"']?(?:https?:)?//", s)]


def test_public_names_have_their_docstrings(site: Path) -> None:
    page = (site / "reference.html").read_text("utf-8")
    for name in ("metasight.pipeline.run", "metasight.study.Study", "metasight.ledger.Ledger"):
        assert f'id="{name}"' in page


def test_every_page_is_in_the_navigation(site: Path) -> None:
    start = (site / "index.html").read_text("utf-8")
    pages = {p.relative_to(site).as_posix() for p in site.glob("*.html")} - {"404.html"}
    assert {p for p in pages if f'href="{p}"' not in start} == set()

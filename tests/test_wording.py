"""Texts that people read are in plain present-day English; the words below are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from metasight.cli import app
from metasight.study.schema import study_schema
from source_texts import PAGES, ROOT, texts

ARCHAIC = re.compile(
    r"\b(told|dealt|deals? out|is silent|in vain|nought|anybody|nobody|everybody|somebody|whoever"
    r"|spoken of|looked for in vain|made anew)\b"
)
READ = ("cli/", "cohort/", "report/", "study/", "bundle/", "decisions/", "plan/", "protocol/")
READ += ("steps/after/", "steps/risk/", "steps/cohort/", "biology/", "validation/", "leakage.py")


def commands(found: Any = None) -> Iterator[Any]:
    found = typer.main.get_command(app) if found is None else found
    yield found
    for inner in getattr(found, "commands", {}).values():
        yield from commands(inner)


def test_messages_and_report() -> None:
    sentences = [(p, t) for p, t in texts(docstrings=False) if p.startswith(READ) and " " in t]
    assert len(sentences) > 1000
    assert [f"{p}: {t}" for p, t in sentences if ARCHAIC.search(t)] == []


@pytest.mark.parametrize("command", list(commands()), ids=lambda c: c.name)
def test_help(command: Any) -> None:
    helps = [command.help or "", *(getattr(p, "help", "") or "" for p in command.params)]
    assert all(helps[1:]), "an option has no help"
    assert [h for h in helps if ARCHAIC.search(h)] == []
    # Rich takes [brackets] for markup and would leave them out
    assert [h for h in helps if re.search(r"\[[a-z]", h)] == []


def test_descriptions_of_settings() -> None:
    assert ARCHAIC.findall(str(study_schema())) == []


@pytest.mark.parametrize("page", ["README.md", "study-file.md", "command-line.md", "glossary.md"])
def test_pages(page: str) -> None:
    (path,) = [p for p in PAGES if p.name == page]
    assert ARCHAIC.findall(path.read_text("utf-8")) == []


def test_the_glossary_has_one_line_a_term_and_is_found() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)
    terms = [term for term, _ in rows if term not in {"term", "---"}]
    assert len(terms) > 40
    assert len(set(terms)) == len(terms)
    assert "docs/glossary.md" in (ROOT / "README.md").read_text("utf-8")

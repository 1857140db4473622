"""Texts of the source as Python joins them: messages, and everything that is no docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import metasight

SOURCE = Path(metasight.__file__).parent
ROOT = SOURCE.parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

CONSTANTS: dict[str, str] = {}
"""Texts that modules keep under a name, such as a remedy that several errors have."""


def text_of(node: ast.AST) -> str:
    """A message as Python joins it, ``{}`` where a value stands."""
    match node:
        case ast.Constant(value=str() as value):
            return value
        case ast.JoinedStr(values=parts):
            return "".join(text_of(p) for p in parts)
        case ast.BinOp(left=left, right=right):
            return text_of(left) + text_of(right)
        case ast.IfExp(body=body, orelse=orelse):
            return f"{text_of(body)} | {text_of(orelse)}"
        case ast.Call(func=ast.Attribute(value=inner)):
            return text_of(inner)
        case ast.FormattedValue(value=inner):
            return text_of(inner)
        case ast.Name(id=name):
            return CONSTANTS.get(name, "{}")
    return "{}"


def named_texts() -> dict[str, str]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                text = text_of(node.value)
                if re.search("[a-z]", text):
                    found[node.targets[0].id] = text
    return found


CONSTANTS |= named_texts()


def messages(*arguments: str, errors: bool = False) -> Iterator[tuple[str, str]]:
    """Place and text of arguments of a name; with ``errors`` of what a ValueError says, too."""
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            told: list[ast.AST] = []
            if isinstance(node, ast.keyword) and node.arg in arguments:
                told = [node.value]
            elif errors and isinstance(node, ast.Call):
                told = list(node.args) if getattr(node.func, "id", "") == "ValueError" else []
            for part in told:
                text = text_of(part)
                if text.strip("{}| "):
                    yield f"{place}:{part.lineno}", text


def texts(*, docstrings: bool = True) -> Iterator[tuple[str, str]]:
    """Every text of the source and every line of the pages; or texts that are no docstring."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        left = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Expr) and not docstrings)
            for part in ast.walk(node)
            if part is not node and isinstance(part, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in left:
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", text_of(node)
    for page in PAGES if docstrings else []:
        text = page.read_text("utf-8").replace("\\\n", " ")
        for number, line in enumerate(text.splitlines(), start=1):
            yield f"{page.name}:{number}", line

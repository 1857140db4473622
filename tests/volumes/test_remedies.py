"""Whatever is wrong with a file is told with a remedy."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import metasight.volumes
from metasight.cohort.settings import ScanSettings

FOLDER = Path(metasight.volumes.__file__).parent
# what a program, and no file, does wrong
OF_THE_CALLER = (
    "voxels are not float32",
    "voxels are not uint8",
    "an array does not have the volume's shape",
    "a volume of another unit is needed",
)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda f: f.stem)
def test_every_refusal_names_a_remedy(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "VolumeError":
            continue
        problem = node.args[0]
        if isinstance(problem, ast.Constant) and problem.value in OF_THE_CALLER:
            continue
        assert any(k.arg == "remedy" for k in node.keywords), f"line {node.lineno}"


def remedies(folder: Path) -> set[str]:
    """Every text of a remedy, joined as Python joins it."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "remedy":
                found |= {
                    str(n.value)
                    for n in ast.walk(node.value)
                    if isinstance(n, ast.Constant) and isinstance(n.value, str)
                }
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
    return found


TEXTS = remedies(FOLDER) | remedies(FOLDER.parent / "steps" / "scans")


def test_keys_that_remedies_name_are_keys_of_scans() -> None:
    named = {
        match[1]
        for text in TEXTS
        for match in re.finditer(r"set (\w+)(?: = [\w\"]+)?(?: \([^)]*\))? under \[scans\]", text)
    }
    assert named >= {"max_missing_contours", "lesion_parts", "mask_grid", "pet_dose_unit", "suv"}
    assert named <= set(ScanSettings.model_fields)


def test_columns_that_remedies_name_are_read() -> None:
    columns = {c for text in TEXTS for c in re.findall(r"column `(\w+)`", text)}
    assert columns >= {"series", "date", "accept", "roi"}
    defaults = {f.default for f in ScanSettings.model_fields.values() if isinstance(f.default, str)}
    assert columns <= defaults

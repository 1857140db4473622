"""Files of steps: one home for each name, a format where others read it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import metasight
from metasight.errors import StoreError
from metasight.steps import artefacts
from metasight.steps.artefacts import File, Json

KNOWN = {n: v for n, v in vars(artefacts).items() if isinstance(v, File)}
ROOT = Path(metasight.__file__).parent


def texts(path: Path) -> set[str]:
    """Texts in the code of a module, its docstrings apart."""
    tree = ast.parse(path.read_text("utf-8"))
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    }


def test_every_name_stands_once() -> None:
    names = [f.name for f in KNOWN.values()]
    assert len(names) > 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("part", ["steps", "plan", "pipeline.py"])
def test_no_step_and_no_plan_spells_a_name_itself(part: str) -> None:
    place = ROOT / part
    modules = [place] if place.is_file() else sorted(place.rglob("*.py"))
    names = {f.name for f in KNOWN.values()}
    spelled = {
        (path.relative_to(ROOT).as_posix(), text)
        for path in modules
        if path.name != "artefacts.py"
        for text in texts(path) & names
    }
    assert spelled == set()


def test_json_comes_back_and_the_same_value_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        assert not artefacts.EVALUATION.is_in(folder)
        assert artefacts.EVALUATION.read_if_there(folder) is None
        artefacts.EVALUATION.write(folder, {"c": 0.1 + 0.2, "n": [1, None]})
    assert artefacts.EVALUATION.read(one) == {"c": 0.1 + 0.2, "n": [1, None]}
    assert artefacts.EVALUATION.read_if_there(two) == artefacts.EVALUATION.read(one)
    path = artefacts.EVALUATION.path
    assert path(one) == one / "evaluation.json"
    assert path(one).read_bytes() == path(two).read_bytes()


def test_what_others_read_says_its_format_and_another_is_refused(tmp_path: Path) -> None:
    ours, theirs = Json("told.json", own=2), Json("told.json", own=1)
    ours.write(tmp_path, {"size": 3})
    assert json.loads((tmp_path / "told.json").read_text()) == {"format": 2, "size": 3}
    assert ours.read(tmp_path)["size"] == 3
    with pytest.raises(StoreError, match=r"told\.json.*format 2"):
        theirs.read(tmp_path)
    (tmp_path / "told.json").write_text('{"size": 3}')
    with pytest.raises(StoreError, match="no format"):
        ours.read_if_there(tmp_path)


@pytest.mark.parametrize("name", ["PATIENT", "SCAN", "MAP", "STAGING", "ACQUIRED", "GENERATORS"])
def test_files_that_others_read_carry_a_format(name: str) -> None:
    assert KNOWN[name].own == (2 if name == "STAGING" else 1)

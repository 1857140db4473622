"""`init` on exports of hospitals: what ``bench/init.py`` prints, as a bar that can be missed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def _module(file: str, name: str) -> Any:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, BENCH / file)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


_module("init_exports.py", "init_exports")
INIT = _module("init.py", "bench_init")
EXPORTS = INIT.all_exports()


@pytest.mark.parametrize("export", EXPORTS, ids=[e.name for e in EXPORTS])
def test_nine_of_ten_are_proposed_rightly_and_none_wrongly_without_a_question_mark(
    export: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    verdicts = INIT.judge(export, folder)
    right = sum(v in INIT.RIGHT for v in verdicts.values())
    there = sum(len(n.split(" + ")) for n in export.truth)
    assert right >= INIT.BAR * there, verdicts
    assert "wrong, sure" not in verdicts.values(), verdicts


def test_the_bench_can_fail(tmp_path: Path) -> None:
    """A truth that the table does not bear out is missed, not passed over."""
    from dataclasses import replace

    export = INIT.simulated()[-1]
    truth = {**export.truth, "grade": "Tumor Stage", "centre": "Study ID"}
    del truth["sex"]
    folder = tmp_path / "study"
    folder.mkdir()
    verdicts = INIT.judge(replace(export, truth=truth), folder)
    assert verdicts["grade"] == "wrong, ?"
    assert verdicts["centre"] == "not proposed"
    assert verdicts["sex"].startswith("wrong")

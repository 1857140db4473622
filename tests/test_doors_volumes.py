"""Every situation of ``bench/doors_volumes.py`` is right, or refused with a remedy."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
SLOW = "300 flipped bits"  # tests/volumes/test_nifti.py and test_sources.py flip them too


def _module(name: str) -> Any:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


COMMON = _module("doors_common")
_module("doors_pet")
SITUATIONS = [s for s in _module("doors_volumes").situations() if not s.name.startswith(SLOW)]


@pytest.mark.parametrize("situation", SITUATIONS, ids=[s.name for s in SITUATIONS])
def test_it_is_right_or_refused_with_a_remedy(situation: Any, tmp_path: Path) -> None:
    assert situation.run(tmp_path).startswith(("right", "refused: "))


def test_names_are_unique() -> None:
    assert len({s.name for s in SITUATIONS}) == len(SITUATIONS)


def test_the_table_counts_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_: Path) -> str:
        raise ValueError("Secret")

    outcomes = {"a": lambda _: "right", "b": lambda _: "refused: so", "c": lambda _: "wrong: it"}
    rows = [COMMON.Situation(name=name, run=run) for name, run in {**outcomes, "d": fails}.items()]
    assert COMMON.table(rows, tmp_path / "work") == 2
    told = capsys.readouterr().out
    assert "4 situations, 2 wrong" in told and "d | wrong: ValueError" in told
    assert "Secret" not in told

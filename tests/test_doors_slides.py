"""Every situation of ``bench/doors_slides.py`` is right, or refused with a remedy."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


def _module(name: str) -> Any:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


_module("doors_common")
SITUATIONS = _module("doors_slides").situations()


@pytest.mark.parametrize("situation", SITUATIONS, ids=[s.name for s in SITUATIONS])
def test_it_is_right_or_refused_with_a_remedy(situation: Any, tmp_path: Path) -> None:
    assert situation.run(tmp_path).startswith(("right", "refused: "))


def test_names_are_unique() -> None:
    assert len({s.name for s in SITUATIONS}) == len(SITUATIONS)

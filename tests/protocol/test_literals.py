"""Studies are protocols: no criterion and no marker is spelled where slides, scans or risks are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import metasight
from metasight.protocol.load import BUILT_IN, read_protocol

ROOT = Path(metasight.__file__).parent
OF_STUDIES = ("protocol", "simulate")


def code() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in OF_STUDIES
    }


def test_no_criterion_id_stands_in_the_code() -> None:
    ids = {i for name in BUILT_IN for i in read_protocol(name).criteria}
    assert len(ids) > 10
    quoted = re.compile(rf"""["']({"|".join(sorted(ids))})["']""")
    assert {
        name: quoted.findall(text) for name, text in code().items() if quoted.search(text)
    } == {}


@pytest.mark.parametrize("marker", [m.name for m in read_protocol("breast-dmfs").marker])
def test_no_marker_stands_in_the_code(marker: str) -> None:
    quoted = f'"{marker}"'
    assert [name for name, text in code().items() if quoted in text] == []

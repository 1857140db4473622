"""What a tumour's share with its interval decides, and where its nuclei come from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from metasight.estimate import Estimate
from metasight.ledger import Fate
from metasight.maps.cells import Cells
from metasight.protocol.load import read_protocol
from metasight.segmentation.slide_nuclei import NucleusTable
from metasight.steps.slides import tumour_share
from metasight.steps.slides.sections import LOOKS, write_cells
from metasight.steps.slides.tumour_share import judged_share, tumour_of_he

BREAST = read_protocol("breast-dmfs").for_slides


@pytest.mark.parametrize(
    ("ends", "verdict", "known"),
    [
        ((12.0, 30.0), Fate.KEPT, True),
        ((10.0, 30.0), Fate.KEPT, True),
        ((1.0, 9.9), Fate.EXCLUDED, True),
        ((9.0, 30.0), Fate.UNKNOWN, False),
    ],
)
def test_the_whole_interval_decides_and_the_row_says_what_it_rests_on(ends, verdict, known) -> None:
    share = Estimate(value=sum(ends) / 2, lower=ends[0], upper=ends[1])
    judged = judged_share("P", "P-HE-1", BREAST, share, "painted Pan-CK")
    assert judged.percent == (share.value if known else None)
    (row,) = judged.entries
    assert (row.criterion, row.verdict, row.item) == ("E6", verdict, "P-HE-1")
    assert row.reason == f"from painted Pan-CK, between {ends[0]:.0f} and {ends[1]:.0f} %"


def test_without_a_criterion_on_it_the_share_is_kept() -> None:
    protocol = BREAST.model_copy(update={"criterion": ()})
    share = Estimate(value=12.0, lower=8.0, upper=30.0)
    judged = judged_share("P", "P-HE-1", protocol, share, "nuclei of the H&E")
    assert judged.percent == 12.0
    assert [(e.criterion, e.verdict) for e in judged.entries] == [("", Fate.KEPT)]


@pytest.fixture
def nuclei() -> NucleusTable:
    rng = np.random.default_rng(0)
    n = 4000
    return NucleusTable(
        x_um=rng.uniform(0, 800, n),
        y_um=rng.uniform(0, 800, n),
        area_um2=rng.uniform(30, 150, n),
        amount=rng.uniform(0.5, 1.5, n),
        contrast=np.ones(n),
        axis_ratio=np.full(n, 1.2),
        lymphocyte_like=np.zeros(n, dtype=bool),
    )


def stored(folder: Path, nuclei: NucleusTable, *, looks: bool) -> None:
    cells = Cells(
        x_um=nuclei.x_um,
        y_um=nuclei.y_um,
        type_code=np.zeros(len(nuclei), dtype=np.int16),
        type_names=("other", "lymphocyte_like"),
        positive={
            "nuclei": np.ones(len(nuclei), dtype=bool),
            "lymphocyte_like": nuclei.lymphocyte_like,
        },
    )
    told = {name: getattr(nuclei, name) for name in LOOKS} if looks else None
    write_cells(folder / "cells.parquet", cells, told)


@pytest.mark.parametrize("looks", [True, False])
def test_nuclei_that_were_found_are_not_looked_for_again(
    tmp_path, monkeypatch, nuclei, looks
) -> None:
    sought = []

    def found_here(*_: object, mpp: float) -> NucleusTable:
        sought.append(mpp)
        return nuclei

    monkeypatch.setattr(tumour_share, "nuclei_on_slide", found_here)
    # the field is no multiple of 16 µm: the tissue's grid may pass it
    slide = SimpleNamespace(mpp=0.25, size_at=lambda _: (3210, 3210))
    tissue = np.ones((101, 101), dtype=bool)
    stored(tmp_path, nuclei, looks=looks)
    area = tumour_of_he(slide, tissue, 8.0, tmp_path)
    assert sought == ([] if looks else [0.5])
    again = tumour_of_he(slide, tissue, 8.0, tmp_path / "none")
    assert again.percent == pytest.approx(area.percent, abs=0.5)

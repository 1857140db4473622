"""The marker reader finds in simulated sections the cells that were put there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metasight.maps.whole_slide import cells_of_slide
from metasight.protocol.load import read_protocol
from metasight.simulate.breast.cells import MARKER_KINDS, draw_cells
from metasight.simulate.breast.centres import centre_of
from metasight.simulate.breast.laying import draw_defects, draw_transform, lay
from metasight.simulate.breast.markers import CHANNELS, paint_chromogenic, paint_fluorescence
from metasight.simulate.breast.patients import Patients
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.slide_files import write_brightfield, write_fluorescence
from metasight.simulate.breast.tissue import biology_of, tissue_at
from metasight.slides.opening import open_slide
from metasight.slides.quality import judge, limits_of

MPP = 1.0


@pytest.fixture(scope="module")
def canvas(small: BreastSettings, average: Patients):
    rich = replace(average, tls=np.array([1.5]), t_cells=np.array([0.5]))
    s = small.model_copy(update={"tissue_mm": 1.2})
    regions = tissue_at(s, biology_of(rich, 0), (4,), 0.0)
    cells = draw_cells(regions, 2, (4, 1))
    transform, side = draw_transform(s, (4,))
    still = draw_defects(0.0, regions.tissue, (4,))
    return lay(regions, cells, still, transform, side, mpp=MPP, seed=(4, 2))


def counted(path: Path, stain: str, markers: tuple[str, ...]) -> dict[str, int]:
    definitions = read_protocol("breast-dmfs").definition
    with open_slide(path) as slide:
        quality = judge(slide, stain, limits_of(definitions, stain))
        assert quality.sufficient is True, quality.reasons
        found = cells_of_slide(slide, quality.tissue, quality.mpp, markers).cells
    return {m: int(found.positive[m].sum()) for m in markers}


def test_fluorescence_is_counted_within_a_fifth(
    small: BreastSettings, canvas, tmp_path: Path
) -> None:
    path = tmp_path / "s.ome.tif"
    write_fluorescence(path, paint_fluorescence(canvas, centre_of(small, 1, 1)), CHANNELS, mpp=MPP)
    found = counted(path, "fluorescence", tuple(MARKER_KINDS))
    for marker, kind in MARKER_KINDS.items():
        true = int((canvas.cells.kind == kind).sum())
        assert true > 50
        assert found[marker] == pytest.approx(true, rel=0.2), marker


def test_dab_is_counted_within_a_fifth(small: BreastSettings, canvas, tmp_path: Path) -> None:
    path = tmp_path / "s.ome.tif"
    finer = replace(canvas, width_px=2 * canvas.width_px, height_px=2 * canvas.height_px, mpp=0.5)
    rgb = paint_chromogenic(finer, "CD3", centre_of(small, 1, 0))
    write_brightfield(path, rgb, mpp=0.5, jpeg=88, kind="ome")
    found = counted(path, "IHC", ("CD3",))
    true = int((canvas.cells.kind == MARKER_KINDS["CD3"]).sum())
    assert found["CD3"] == pytest.approx(true, rel=0.25)

"""Simulated slides as files: read back as they were drawn, saying that they are simulated."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from metasight.simulate.breast.slide_files import write_brightfield, write_fluorescence
from metasight.simulate.settings import STAMP
from metasight.slides.opening import open_slide
from metasight.slides.reader import Region
from slide_files import tissue_like


@pytest.mark.parametrize("kind", ["svs", "ome"])
def test_a_slide_reads_back_with_its_resolution(tmp_path, kind):
    rgb = tissue_like(1300, 1500)
    path = tmp_path / f"a.{kind}.tif"
    write_brightfield(path, rgb, mpp=0.5, jpeg=92, kind=kind)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.5)
        assert (slide.levels[0].width, slide.levels[0].height) == (1500, 1300)
        assert [level.downsample for level in slide.levels] == [1.0, 2.0]
        part = slide.read(Region(x=200, y=100, width=300, height=200), 0.5)
    assert np.abs(part.astype(int) - rgb[100:300, 200:500]).mean() < 4


def test_the_same_picture_gives_the_same_bytes(tmp_path):
    rgb = tissue_like(600, 600)
    for name in "ab":
        write_brightfield(tmp_path / name, rgb, mpp=0.5, jpeg=90, kind="ome")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_counts_of_fluorescence_are_kept_exactly(tmp_path):
    counts = np.random.default_rng(0).integers(0, 60_000, (3, 400, 500), dtype=np.uint16)
    path = tmp_path / "a.ome.tif"
    write_fluorescence(path, counts, ("DAPI", "CD3", "CD20"), mpp=0.65)
    with open_slide(path) as slide:
        assert slide.channels == ("DAPI", "CD3", "CD20")
        assert slide.mpp == pytest.approx(0.65)
        part = slide.read(Region(x=10, y=20, width=30, height=40), 0.65)
    np.testing.assert_array_equal(part, counts[:, 20:60, 10:40].transpose(1, 2, 0))


@pytest.mark.parametrize("kind", ["svs", "ome"])
def test_every_file_says_that_it_is_simulated(tmp_path, kind):
    path = tmp_path / f"a.{kind}.tif"
    write_brightfield(path, tissue_like(300, 300), mpp=0.5, jpeg=90, kind=kind)
    with tifffile.TiffFile(path) as file:
        assert STAMP in (file.ome_metadata or file.pages[0].description)

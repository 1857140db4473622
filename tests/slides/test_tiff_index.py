"""What a TIFF says of itself: resolution in its units, channels, tiles that fit the file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from metasight.errors import SlideError
from metasight.slides.tiff_index import (
    Tiles,
    channels_of,
    is_tiff_slide,
    opened,
    pages_of,
    properties_of,
    series_of,
    stated_mpp,
    tiles_of,
)
from slide_files import tissue_like, write_pyramid


def described(path):
    with opened(path, "slide") as file:
        series = series_of(file, "slide")
        keyframe = series.levels[0].pages[0].keyframe
        return (
            stated_mpp(file, keyframe),
            channels_of(file, series, keyframe, "slide"),
            properties_of(file, keyframe),
        )


@pytest.mark.parametrize("kind", ["svs", "ome", "generic"])
def test_a_resolution_is_read_in_every_dialect(tmp_path, kind):
    path = write_pyramid(tmp_path / f"a.{kind}.tif", tissue_like(300, 300), mpp=0.25, kind=kind)
    mpp, channels, _ = described(path)
    assert mpp == (pytest.approx(0.25, rel=1e-4), pytest.approx(0.25, rel=1e-4))
    assert channels == ("red", "green", "blue")


@pytest.mark.parametrize(
    ("unit", "resolution", "wanted"),
    [("CENTIMETER", 40_000, 0.25), ("INCH", 101_600, 0.25), ("NONE", 40_000, None)],
)
def test_pixels_per_centimetre_and_per_inch(tmp_path, unit, resolution, wanted):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        tissue_like(256, 256),
        photometric="rgb",
        tile=(128, 128),
        resolution=(resolution, resolution),
        resolutionunit=unit,
        metadata=None,
    )
    mpp, _, _ = described(path)
    assert mpp == ((None, None) if wanted is None else (pytest.approx(wanted),) * 2)


@pytest.mark.parametrize(("unit", "factor"), [("µm", 1.0), ("nm", 1e-3), ("mm", 1e3)])
def test_units_of_ome(tmp_path, unit, factor):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "YXS"}
    for axis, value in (("X", 0.3 / factor), ("Y", 0.31 / factor)):
        metadata |= {f"PhysicalSize{axis}": value, f"PhysicalSize{axis}Unit": unit}
    tifffile.imwrite(
        path, tissue_like(256, 256), photometric="rgb", tile=(128, 128), metadata=metadata, ome=True
    )
    mpp, _, _ = described(path)
    assert mpp == (pytest.approx(0.3), pytest.approx(0.31))


def test_names_of_fluorescence_channels(tmp_path):
    path = tmp_path / "a.ome.tif"
    counts = np.random.default_rng(0).integers(0, 4000, (3, 256, 256), dtype=np.uint16)
    tifffile.imwrite(
        path,
        counts,
        photometric="minisblack",
        tile=(128, 128),
        ome=True,
        metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "CD3", "Pan-CK"]}},
    )
    assert described(path)[1] == ("DAPI", "CD3", "Pan-CK")
    plain = tmp_path / "b.tif"
    tifffile.imwrite(plain, counts[0], photometric="minisblack", tile=(128, 128), metadata=None)
    assert described(plain)[1] == ("channel_1",)


def test_what_may_name_a_patient_is_left_behind(tmp_path):
    path = tmp_path / "a.svs"
    text = "Aperio Image Library\n256x256 JPEG|AppMag = 20|MPP = 0.5|User = Smith|Date = 01/02/20"
    tifffile.imwrite(
        path,
        tissue_like(256, 256),
        photometric="rgb",
        tile=(128, 128),
        description=text,
        metadata=None,
    )
    found = described(path)[2]
    assert found["AppMag"] == "20"
    assert found["format"] == "Aperio SVS"
    assert "Smith" not in str(found)


def test_a_stack_is_not_one_plane(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path,
        np.zeros((4, 256, 256), np.uint8),
        photometric="minisblack",
        tile=(128, 128),
        ome=True,
        metadata={"axes": "ZYX"},
    )
    with opened(path, "slide") as file, pytest.raises(SlideError, match="a stack") as error:
        series_of(file, "slide")
    assert error.value.value == "Z = 4"


def test_rows_and_columns_of_tiles_round_up():
    tiles = Tiles(width=257, height=512, tile_width=256, tile_height=256, planes=())
    assert (tiles.across, tiles.down) == (2, 2)


def test_planes_and_their_tiles(tmp_path):
    path = write_pyramid(tmp_path / "a.svs", tissue_like(300, 520), levels=2)
    with opened(path, "slide") as file:
        series = series_of(file, "slide")
        first = tiles_of(pages_of(series.levels[0], "slide"), "slide")
        second = tiles_of(pages_of(series.levels[1], "slide"), "slide")
    assert (first.width, first.height, first.across, first.down) == (520, 300, 3, 2)
    assert (second.width, second.height) == (260, 150)
    assert [p.samples for p in first.planes] == [3]


def test_a_table_is_no_tiff(tmp_path):
    (tmp_path / "x.svs").write_text("id,x\n")
    assert not is_tiff_slide(tmp_path / "x.svs")
    with pytest.raises(SlideError, match="not a TIFF slide"):
        opened(tmp_path / "x.svs", "slide")
    with pytest.raises(SlideError, match="not there"):
        opened(tmp_path / "none.svs", "slide")


def test_planes_that_no_file_holds_are_refused_before_they_are_listed(tmp_path):
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="64" SizeY="64" '
        'SizeC="1" SizeZ="1" SizeT="{}" PhysicalSizeX="0.5" PhysicalSizeY="0.5">'
        '<TiffData IFD="0" PlaneCount="{}"/></Pixels></Image></OME>'
    )
    for number, (times, planes) in enumerate([(10**9, 1), (1, 10**9)]):
        path = tmp_path / f"{number}.ome.tif"
        description = text.format(times, planes)
        pixels = np.zeros((64, 64), np.uint16)
        tifffile.imwrite(path, pixels, description=description, metadata=None)
        with pytest.raises(SlideError, match="claims more planes than a slide has"):
            opened(path, "slide")

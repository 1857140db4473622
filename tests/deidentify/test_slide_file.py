"""Slides made anew: the same pixels, none of the texts, and the second look at them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import canaries
import slide_files
from canaries import found_in
from metasight.deidentify.batch import deidentify_folder
from metasight.deidentify.check import check_output
from metasight.deidentify.originals import originals_of
from metasight.deidentify.slide_file import is_tiff, new_slide
from metasight.deidentify.table_file import slide_name
from metasight.errors import SlideError
from metasight.ledger import Fate
from metasight.slides.opening import open_slide

TISSUE = slide_files.tissue_like(700, 900)
LABEL = np.full((60, 50, 3), 250, np.uint8)


def with_label(path, said: bytes | None = None):
    """Add a label, as the last page, and a text between the parts of the file."""
    with tifffile.TiffWriter(path, append=True) as out:
        out.write(LABEL, description="Aperio label Kanari97", metadata=None, photometric="rgb")
    with path.open("ab") as file:
        file.write(b"Kanari98" * 3)


@pytest.fixture(params=["svs", "ome", "generic", "fluorescence", "j2k", "deflate"])
def slide(request, tmp_path):
    kind, folder = request.param, tmp_path / "source" / "Kanari96"
    folder.mkdir(parents=True)
    if kind == "svs":
        path = slide_files.write_pyramid(folder / "Kanari95.svs", TISSUE)
        canaries._in_svs(path)
        with_label(path)
    elif kind == "ome":
        path = slide_files.write_pyramid(folder / "Kanari95.ome.tif", TISSUE, kind="ome")
        canaries._in_ome(path)
    elif kind == "fluorescence":
        path = folder / "Kanari95.ome.tif"
        planes = np.stack([TISSUE[..., 0], TISSUE[..., 1]])
        slide_files.write_fluorescence(path, planes, ["DAPI", "Kanari94"])
    else:
        coded = {"generic": "jpeg", "j2k": "jpeg2000", "deflate": "deflate"}[kind]
        path = folder / "Kanari95.tif"
        slide_files.write_pyramid(path, TISSUE, kind="generic", compression=coded)
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages.first.tags["Software"].overwrite("by Kanari93")
    return path


def pixels(path):
    with tifffile.TiffFile(path) as file:
        return [level.asarray() for level in file.series[0].levels]


def test_pixels_and_scale_are_the_same_and_no_text_is(slide, tmp_path, key):
    source, out = tmp_path / "source", tmp_path / "out"
    assert found_in(source)
    (row,) = deidentify_folder(source, out, key)
    assert row.verdict is Fate.KEPT, row.reason
    assert found_in(out) == {}
    new = out / "slides" / slide_name(slide.name, key)
    for before, after in zip(pixels(slide), pixels(new), strict=True):
        np.testing.assert_array_equal(after, before)
    with open_slide(slide) as before, open_slide(new) as after:
        assert (after.levels, after.mpp) == (before.levels, before.mpp)
        assert after.channels == before.channels
        assert after.properties == before.properties
    assert check_output(out, source, key) == []


def test_the_same_bytes_again(slide, tmp_path):
    new_slide(slide, tmp_path / "a")
    new_slide(slide, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert is_tiff(tmp_path / "a")


def test_texts_of_a_slide_are_looked_for(tmp_path, key):
    (tmp_path / "source").mkdir()
    path = slide_files.write_pyramid(tmp_path / "source" / "a.svs", TISSUE)
    canaries._in_svs(path)
    assert {"Kanari40", "Kanari44"} <= originals_of(tmp_path / "source").texts.keys()
    deidentify_folder(tmp_path / "source", tmp_path / "out", key)
    new = next((tmp_path / "out").rglob("*.svs"))
    with new.open("ab") as file:
        file.write(b"Kanari44")
    what = {f.what for f in check_output(tmp_path / "out", tmp_path / "source", key)}
    assert what == {"slide of the source", "8 bytes that belong to no picture"}


def test_damage_and_other_dialects_are_refused(tmp_path):
    path = slide_files.write_pyramid(tmp_path / "a.svs", TISSUE)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(SlideError):
        new_slide(path, tmp_path / "new")
    path.write_bytes(b"II*\0" + b"\xff" * 40)
    with pytest.raises(SlideError):
        new_slide(path, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.svs"]


def test_two_slides_of_one_name_and_kinds_that_are_not_read(tmp_path, key):
    for folder in ("a", "b"):
        (tmp_path / "source" / folder).mkdir(parents=True)
        slide_files.write_pyramid(tmp_path / "source" / folder / "s.svs", TISSUE)
    (tmp_path / "source" / "c.mrxs").write_bytes(b"\xff\xd8\xff\xe0")
    rows = deidentify_folder(tmp_path / "source", tmp_path / "out", key)
    assert [r.verdict for r in rows] == [Fate.KEPT, Fate.FAILED, Fate.FAILED]
    assert "the same name" in rows[1].reason
    assert "convert it to DICOM or OME-TIFF" in rows[2].reason


def test_a_dicom_slide(tmp_path, key):
    folder = slide_files.write_dicom(tmp_path / "source" / "Kanari92", TISSUE)
    from pydicom import dcmread
    from pydicom.encaps import generate_frames

    path = next(folder.iterdir())
    data = dcmread(path)
    data.PatientID, data.PatientName = "MRN-Kanari91", "Kanari90"
    data.ContainerIdentifier, data.BarcodeValue = "Kanari89", "Kanari88"
    data.save_as(path)
    data.ImageType, data.SOPInstanceUID = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"], "1.2.3"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.save_as(folder / "label.dcm")
    rows = deidentify_folder(tmp_path / "source", tmp_path / "out", key)
    assert [r.verdict for r in rows] == [Fate.EXCLUDED, Fate.KEPT]
    assert found_in(tmp_path / "out") == {}
    old, made = (dcmread(p) for p in (path, tmp_path / "out" / rows[1].output))
    n = old.NumberOfFrames
    frames = [list(generate_frames(d.PixelData, number_of_frames=n)) for d in (old, made)]
    assert frames[0] == frames[1]
    with open_slide((tmp_path / "out" / rows[1].output).parent) as new:
        assert new.mpp == pytest.approx(0.5)
    assert check_output(tmp_path / "out", tmp_path / "source", key) == []

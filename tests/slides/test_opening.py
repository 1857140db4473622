"""Which reader takes a file is told from what it holds; a cohort has one reader."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from metasight.errors import SlideError
from metasight.slides.opening import open_slide, reader_of, reader_of_all
from metasight.slides.picture import PictureReader
from metasight.slides.tiff import TiffReader
from slide_files import tissue_like, write_pyramid


@pytest.fixture
def files(tmp_path):
    rgb = tissue_like(300, 400)
    svs = write_pyramid(tmp_path / "a.svs", rgb)
    cv2.imwrite(str(tmp_path / "b.png"), rgb)
    cv2.imwrite(str(tmp_path / "c.jpg"), rgb)
    return svs, tmp_path / "b.png", tmp_path / "c.jpg"


def test_a_file_is_what_it_holds_whatever_its_name(files, tmp_path):
    svs, png, jpg = files
    assert reader_of(svs) == "tiff"
    assert reader_of(png) == reader_of(jpg) == "picture"
    other = tmp_path / "slide.dat"
    other.write_bytes(svs.read_bytes())
    assert reader_of(other) == "tiff"


def test_a_picture_under_a_slides_name_is_refused(files, tmp_path):
    for source, suffix in ((files[1], "PNG"), (files[2], "JPG")):
        renamed = tmp_path / "renamed.svs"
        renamed.write_bytes(source.read_bytes())
        with pytest.raises(SlideError, match=f"plain {suffix} picture, not a .svs") as error:
            reader_of(renamed)
        assert "lost its pyramid" in error.value.remedy


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the file is empty"),
        (b"\0" * 5000, "the file is empty"),
        (b"id,x\n1,2\n" * 100, "not a slide"),
        (b"II*\0" + b"\xff" * 200, "not a slide"),
    ],
)
def test_what_is_no_slide(tmp_path, data, problem):
    (tmp_path / "x.svs").write_bytes(data)
    with pytest.raises(SlideError, match=problem):
        reader_of(tmp_path / "x.svs")


def test_messages_call_the_slide_as_the_study_does(tmp_path):
    with pytest.raises(SlideError) as error:
        open_slide(tmp_path / "Secret Name.svs", name="P1-HE-1")
    assert error.value.where == "P1-HE-1"
    assert "Secret" not in str(error.value)


def test_folders_hold_a_dicom_series_or_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SlideError, match="holds no DICOM file"):
        reader_of(tmp_path / "empty")


def test_the_reader_asked_for_and_the_resolution_given(files):
    with open_slide(files[0], mpp=0.7) as slide:
        assert isinstance(slide, TiffReader)
        assert (slide.mpp, slide.mpp_source) == (0.7, "settings")
    with open_slide(files[0]) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.5, "file")
    with open_slide(files[1], mpp=1.0) as slide:
        assert isinstance(slide, PictureReader)


def test_two_readers_of_one_file_see_the_same_picture(files):
    from metasight.slides.reader import Region

    region = Region(x=16, y=20, width=60, height=50)
    with open_slide(files[0]) as one, open_slide(files[0], reader="openslide") as other:
        a, b = one.read(region, 1.0), other.read(region, 1.0)
    assert np.abs(a.astype(int) - b).max() <= 2


def test_one_reader_for_a_cohort(files, tmp_path):
    svs, png, _ = files
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"nothing of the kind")
    assert reader_of_all([svs]) == "tiff"
    assert reader_of_all([svs, broken]) == "tiff"  # which fails where it is opened
    assert reader_of_all([png]) == "picture"
    assert reader_of_all([svs, png]) == "openslide"


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\xda\xce\xbe\x0a", "Nikon ND2"), (b"PK\x03\x04", "zip"), (b"%PDF-1.7", "PDF")],
)
def test_a_format_that_is_not_read_is_named(tmp_path, head, kind):
    (tmp_path / "x.svs").write_bytes(head + bytes(range(200)))
    for reader in (None, "tiff", "openslide"):
        with pytest.raises(SlideError, match=f"not supported: {kind}") as error:
            open_slide(tmp_path / "x.svs", name="slide", reader=reader)
        assert "OME-TIFF" in error.value.remedy


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_path_that_cannot_be_one(tmp_path, name):
    with pytest.raises(SlideError) as error:
        open_slide(tmp_path / name, name="slide")
    assert error.value.remedy

"""Tiles of a slide through an encoder."""

import numpy as np
import pytest

from metasight.errors import EncoderError
from metasight.features.embeddings import embed_slide
from metasight.features.encoders import load_encoder
from metasight.slides.opening import open_slide
from metasight.slides.reader import Region
from slide_files import tissue_like, write_fluorescence, write_pyramid


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


@pytest.fixture(scope="module")
def image():
    return tissue_like(960, 1200)


def opened(path):
    return open_slide(path, name="S1", mpp=None, reader="tiff")


def test_features_are_those_of_the_tile_that_coords_name(tmp_path, encoder, image):
    path = write_pyramid(tmp_path / "s.svs", image, mpp=0.25)
    tissue = np.ones((30, 38), bool)
    tissue[:, 19:] = False
    with opened(path) as slide:
        found = embed_slide(slide, tissue, 8.0, encoder)
        pixels = slide.read(Region(x=0, y=224, width=224, height=224), 0.5)
    assert found.patch_px == 448
    assert found.coords.tolist() == [[0, 0], [0, 448]] or found.coords.tolist() == [
        [0, 0],
        [448, 0],
        [0, 448],
        [448, 448],
    ]
    row = found.coords.tolist().index([0, 448])
    np.testing.assert_allclose(
        found.features[row], encoder.embed(pixels[None])[0], atol=1e-4, rtol=1e-3
    )
    assert found.encoder.startswith("efficientnet_lite0 57934424")


def test_no_tissue_no_brightfield_and_too_coarse_are_refused(tmp_path, encoder, image):
    fine = write_pyramid(tmp_path / "f.svs", image, mpp=0.5)
    with opened(fine) as slide, pytest.raises(EncoderError, match="no tile is on tissue"):
        embed_slide(slide, np.zeros((60, 75), bool), 8.0, encoder)
    coarse = write_pyramid(tmp_path / "c.svs", image, mpp=1.0)
    with opened(coarse) as slide, pytest.raises(EncoderError, match="coarser"):
        embed_slide(slide, np.ones((120, 150), bool), 8.0, encoder)
    planes = np.zeros((2, 512, 512), np.uint16)
    light = write_fluorescence(tmp_path / "l.ome.tif", planes, ["DAPI", "CD3"])
    with opened(light) as slide, pytest.raises(EncoderError, match="brightfield"):
        embed_slide(slide, np.ones((60, 60), bool), 8.0, encoder)

"""What is compared of a section."""

import numpy as np
import pytest

from alignment.made_up import tissue
from metasight.alignment.section import Section, evidence
from metasight.errors import AlignmentError


def test_glass_has_no_contrast_and_tissue_has():
    found = evidence(Section(rgb=tissue(1), mpp=5.0), 5.0)
    assert 0.15 < found.tissue.mean() < 0.8
    assert found.contrast[found.tissue > 0].mean() > 0.3
    assert found.contrast[:5].max() < 0.15
    # square root of a density of 0.25 × (0.7 + 1.2 + 0.6) / 3
    assert np.median(found.contrast[found.tissue > 0]) == pytest.approx(0.46, abs=0.12)


def test_the_glass_round_the_tissue_is_cut_off_and_places_stay():
    rgb = tissue(1)
    wide = np.full((800, 900, 3), 243, np.uint8)
    wide[300:720, 400:820] = rgb
    alone = evidence(Section(rgb=rgb, mpp=5.0), 5.0)
    inside = evidence(Section(rgb=wide, mpp=5.0), 5.0)
    assert max(inside.shape) < 470
    # the same pixel, by its coordinates: its shift is the paste's
    centre = [
        np.array(
            [
                np.average(e.centres_um()[1 - axis], weights=e.tissue.sum(axis=1 - axis))
                for axis in (1, 0)
            ]
        )
        for e in (alone, inside)
    ]
    np.testing.assert_allclose(centre[1] - centre[0], [2000.0, 1500.0], atol=30)


def test_never_finer_than_the_image():
    section = Section(rgb=tissue(1), mpp=5.0)
    assert evidence(section, 1.0).spacing_um == 5.0
    assert evidence(section, 10.0).spacing_um == pytest.approx(10.0)


def test_what_the_scanner_left_out_does_not_count():
    rgb = tissue(1)
    rgb[:, 200:240] = 0
    found = evidence(Section(rgb=rgb, mpp=5.0), 5.0)
    x, _ = found.centres_um()
    strip = (x > 1020) & (x < 1180)
    assert found.scanned[:, strip].max() == 0
    assert found.tissue[:, strip].max() == 0
    assert found.scanned[:, ~strip].mean() > 0.9


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_empty_image_is_refused(grey):
    with pytest.raises(AlignmentError, match="next to no tissue"):
        evidence(Section(rgb=np.full((200, 200, 3), grey, np.uint8), mpp=5.0), 5.0)

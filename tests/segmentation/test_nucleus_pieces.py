"""The compiled loops over nuclei against what scipy and scikit-image find one nucleus at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import measure

from metasight.segmentation.nucleus_pieces import (
    cut_each,
    moments_of_labels,
    percentile_of_labels,
)

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)


def offsets(disc):
    return np.argwhere(disc) - disc.shape[0] // 2


def drawn(seed, shape=(40, 50), cells=9):
    """Labels that touch, have holes and lie at the edge, with values beside."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, dtype=np.int32)
    for k in range(1, cells + 1):
        cy, cx, r = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(2, 9)
        labels[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = k
    values = ndimage.gaussian_filter(rng.normal(size=shape), 1.0).astype(np.float32)
    return labels, values, cells


def cut_one_by_one(values, labels, limit, disc):
    out = np.zeros_like(labels)
    for k in range(1, len(limit)):
        if np.isnan(limit[k]):
            continue
        piece = ndimage.binary_fill_holes((labels == k) & (values >= limit[k]))
        parts, n = ndimage.label(ndimage.binary_opening(piece, disc))
        if n:
            piece = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        out[piece] = k
    return out


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_percentiles_are_numpys(seed, share):
    labels, values, n = drawn(seed)
    found = percentile_of_labels(values, labels, n, share)
    for k in range(1, n + 1):
        own = values[labels == k]
        if own.size:
            assert found[k] == pytest.approx(np.percentile(own.astype(float), 100 * share))
        else:
            assert np.isnan(found[k])


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_pieces_are_those_of_one_nucleus_after_another(seed, radius):
    labels, values, n = drawn(seed)
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = x * x + y * y <= radius * radius
    limit = np.random.default_rng(seed).normal(-0.1, 0.2, n + 1)
    limit[2] = np.nan
    found = cut_each(values, labels, limit, offsets(disc))
    assert (found == cut_one_by_one(values, labels, limit, disc)).all()


def test_a_hole_is_filled_although_another_nucleus_lies_in_it():
    labels = np.ones((9, 9), dtype=np.int32)
    labels[4, 4] = 2
    values = np.ones((9, 9), dtype=np.float32)
    values[4, 4] = 0.0
    found = cut_each(values, labels, np.array([0, 0.5, 0.5]), offsets(CROSS))
    assert (found[1:-1, 1:-1] == 1).all(), "the opening rounds the corners of the image only"
    assert found[0, 0] == 0


def test_a_piece_in_which_no_disc_fits_stays_whole():
    labels = np.zeros((6, 6), dtype=np.int32)
    labels[2, 1:5] = 1
    found = cut_each(np.ones((6, 6), np.float32), labels, np.array([0, 0.5]), offsets(CROSS))
    assert (found == labels).all()


def test_of_two_equal_pieces_the_first_is_kept():
    labels = np.zeros((5, 11), dtype=np.int32)
    labels[:, :] = 1
    values = np.ones((5, 11), dtype=np.float32)
    values[:, 5] = 0
    found = cut_each(values, labels, np.array([0, 0.5]), offsets(CROSS))
    assert found[2, :5].all()
    assert not found[:, 5:].any()


@given(st.integers(0, 2**32 - 1))
def test_moments_are_scikit_images(seed):
    labels, values, n = drawn(seed)
    found = moments_of_labels(values, labels, n)
    regions = {r.label: r for r in measure.regionprops(labels, intensity_image=values)}
    for k in range(1, n + 1):
        if k not in regions:
            assert found[k - 1, 0] == 0
            assert np.isnan(found[k - 1, 1:]).all()
            continue
        r = regions[k]
        told = [r.area, *r.centroid, r.intensity_mean, r.axis_major_length, r.axis_minor_length]
        assert found[k - 1] == pytest.approx(np.array(told), abs=1e-5)


def test_no_label_at_all():
    nothing, values = np.zeros((4, 4), dtype=np.int32), np.ones((4, 4), dtype=np.float32)
    assert moments_of_labels(values, nothing, 0).shape == (0, 6)
    assert percentile_of_labels(values, nothing, 0, 0.5).tolist() == pytest.approx(
        [np.nan], nan_ok=True
    )
    assert not cut_each(values, nothing, np.array([np.nan]), offsets(CROSS)).any()

"""Peaks, watershed and nearest label against scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import feature, segmentation

from metasight.segmentation.nucleus_parting import depth_of, flooded, peaks_of, ring_of


def drawn(seed, shape=(45, 60)):
    """Heights of both signs and a foreground of several parts, some at the edge."""
    rng = np.random.default_rng(seed)
    height = ndimage.gaussian_filter(rng.normal(size=shape), 1.5).astype(np.float32)
    foreground = ndimage.gaussian_filter(rng.normal(size=shape), 3.0) > rng.normal(0, 0.05)
    return height, foreground


def skimages_peaks(height, foreground, distance):
    return feature.peak_local_max(
        height,
        min_distance=distance,
        labels=foreground.astype(np.int32),
        exclude_border=False,
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_depths_are_the_exact_distances_cut_off(seed, most):
    mask = drawn(seed)[1]
    exact = np.array(
        [
            [_nearest_off(mask, y, x) if mask[y, x] else 0.0 for x in range(mask.shape[1])]
            for y in range(mask.shape[0])
        ]
    )
    np.testing.assert_allclose(depth_of(mask, most), np.minimum(exact, most), rtol=1e-6)


def test_a_mask_without_an_edge_is_as_deep_as_was_asked():
    assert (depth_of(np.ones((7, 9), dtype=np.bool_), 4) == 4).all()


def _nearest_off(mask, y, x):
    v, u = np.nonzero(~mask)
    return float(np.sqrt(((v - y) ** 2 + (u - x) ** 2).min())) if len(v) else np.inf


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_peaks_are_scikit_images(seed, distance):
    height, foreground = drawn(seed)
    found = peaks_of(height, foreground, distance)
    assert found.tolist() == skimages_peaks(height, foreground, distance).tolist()


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_equal_peaks_keep_their_distance(seed, distance):
    height, foreground = drawn(seed)
    height = np.round(height * 8).astype(np.float32)
    found = peaks_of(height, foreground, distance)
    assert found.tolist() == skimages_peaks(height, foreground, distance).tolist()


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_flood_is_scikit_images(seed, distance):
    height, foreground = drawn(seed)
    peaks = peaks_of(height, foreground, distance)
    seeds = np.zeros(height.shape, dtype=np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    expected = segmentation.watershed(-height, seeds, mask=foreground)
    assert (flooded(height, peaks, foreground) == expected).all()


def test_equal_heights_are_flooded_evenly():
    flat = np.ones((5, 11), dtype=np.float32)
    found = flooded(flat, np.array([[2, 1], [2, 9]]), flat > 0)
    assert (found[:, :5] == 1).all()
    assert (found[:, 6:] == 2).all()


def test_a_part_without_a_seed_stays_empty():
    height, foreground = np.ones((4, 9), np.float32), np.ones((4, 9), bool)
    foreground[:, 4] = False
    found = flooded(height, np.array([[1, 1]]), foreground)
    assert (found[:, :4] == 1).all()
    assert not found[:, 4:].any()
    assert not flooded(height, np.zeros((0, 2), dtype=np.int64), foreground).any()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0, 2.9, 3.0, 6.0]))
def test_the_ring_holds_the_nearest_label(seed, reach):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((30, 41)) < 0.02, rng.integers(1, 9, (30, 41)), 0).astype(np.int32)
    found = ring_of(labels, reach)
    grown = segmentation.expand_labels(labels, reach)
    assert ((found > 0) == ((grown > 0) & (labels == 0))).all()
    away = ndimage.distance_transform_edt(labels == 0)
    for k in range(1, 9):
        own = found == k
        if own.any():
            assert ndimage.distance_transform_edt(labels != k)[own] == pytest.approx(away[own])


def test_nothing_has_no_ring():
    assert not ring_of(np.zeros((6, 7), dtype=np.int32), 3.0).any()
    assert not ring_of(np.ones((6, 7), dtype=np.int32), 3.0).any()

"""A section turned, mirrored and shifted by a known amount is among the poses found."""

import numpy as np
import pytest

from alignment.corruptions import Picture, missing, restained, turned
from alignment.made_up import tissue
from metasight.alignment.coarse import search
from metasight.alignment.section import Section, evidence


@pytest.mark.parametrize(("degrees", "mirrored", "share"), [(77.0, False, 0.0), (300.0, True, 0.4)])
def test_the_true_pose_is_among_those_kept(degrees, mirrored, share):
    x, y = np.meshgrid(np.linspace(100, 320, 5), np.linspace(120, 300, 5))
    one = Picture.of(tissue(6), np.stack([x.ravel(), y.ravel()], axis=1))
    other = turned(restained(one, 2), degrees, mirrored=mirrored)
    if share:
        other = missing(other, 10.0, share)
    pair = [evidence(Section(rgb=p.rgb, mpp=5.0), 10.0) for p in (one, other)]
    poses = search(*pair)
    away = [
        np.median(
            np.linalg.norm(
                (one.points * 5) @ p.matrix[:, :2].T + p.matrix[:, 2] - other.points * 5, axis=1
            )
        )
        for p in poses
    ]
    best = poses[int(np.argmin(away))]
    assert min(away) < 80  # µm, on sections of 2 mm
    assert best.mirrored == mirrored
    assert all(-1 <= p.correlation <= 1 for p in poses)

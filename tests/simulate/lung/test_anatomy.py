"""A thorax as numbers: adults' sizes, sides that are not mixed up, tubes that meet."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from metasight.simulate.lung.anatomy import Anatomy, Tubes, draw_anatomy, polyline
from metasight.simulate.lung.thorax import distance_to_tubes


@pytest.fixture(scope="module")
def people() -> dict[bool, list[Anatomy]]:
    return {
        female: [
            draw_anatomy(np.random.default_rng(seed), female=female, contrast=seed % 2 == 0)
            for seed in range(60)
        ]
        for female in (False, True)
    }


def test_a_line_through_points_becomes_tubes_end_to_end() -> None:
    tubes = polyline((0.0, 0.0, 0.0, 3.0), (1.0, 2.0, 3.0, 2.0), (4.0, 5.0, 6.0, 1.0))
    np.testing.assert_array_equal(tubes.ends, [[0, 0, 0, 1, 2, 3], [1, 2, 3, 4, 5, 6]])
    np.testing.assert_array_equal(tubes.radii, [[3, 2], [2, 1]])
    assert len(tubes + tubes) == 4


def test_tubes_are_widened_but_never_below_nothing() -> None:
    tubes = Tubes(ends=np.zeros((2, 6)), radii=np.array([[1.0, 0.2], [2.0, 0.0]]))
    np.testing.assert_allclose(tubes.widened(0.5, 2.0).radii, [[2.5, 0.9], [4.5, 0.5]])
    np.testing.assert_allclose(tubes.widened(-0.5).radii, [[0.5, 0.0], [1.5, 0.0]])
    np.testing.assert_array_equal(tubes.radii, [[1.0, 0.2], [2.0, 0.0]])


def test_sizes_are_those_of_adults(people: dict[bool, list[Anatomy]]) -> None:
    """Inner width 230–270 mm, depth 150–190 mm and height 190–225 mm in most."""
    men = [a.form for a in people[False]]
    for values, low, high in (
        ([2 * f.half_width for f in men], 215, 285),
        ([f.height for f in men], 175, 235),
        ([2 * f.half_depth for f in men], 150, 225),
    ):
        assert low < min(values) < max(values) < high
    ratio = np.mean([a.form.height for a in people[True]]) / np.mean([f.height for f in men])
    assert ratio == pytest.approx(0.95, abs=0.02)


def test_contrast_is_seen_in_blood_alone(people: dict[bool, list[Anatomy]]) -> None:
    for seed, one in enumerate(people[True]):
        low, high = (150, 220) if seed % 2 == 0 else (38, 48)
        assert low <= one.form.blood_hu <= high
        assert 45 < one.form.liver_hu < 75


def test_right_is_right_and_left_is_left(people: dict[bool, list[Anatomy]]) -> None:
    """x grows to the patient's left."""
    for one in people[False]:
        assert (one.lobar_roots[:3, 0] < 0).all()
        assert (one.lobar_roots[3:, 0] > 0).all()
        assert one.hila[0, 0] < 0 < one.hila[1, 0]
        assert one.atrium[0, 0] < 0 < one.atrium[1, 0]
        # the arch crosses to the left and descends there; the cava lies on the right
        assert one.aorta.ends[5, 0] > 0
        assert one.cava.ends[0, 0] < 0
        # the right dome of the diaphragm is the higher on average: the liver is under it
    assert np.mean([a.form.dome_right - a.form.dome_left for a in people[False]]) > 5


def test_upper_bronchi_lie_over_lower_ones(people: dict[bool, list[Anatomy]]) -> None:
    for one in people[True]:
        rul, rml, rll, lul, lll = one.lobar_roots
        assert rul[2] > rml[2]
        assert rul[2] > rll[2]
        assert lul[2] > lll[2]
        # the middle lobe's bronchus runs forwards, the lower lobe's backwards
        assert rml[1] < rll[1]


def test_the_bronchial_tree_is_one_piece_and_narrows(people: dict[bool, list[Anatomy]]) -> None:
    one = people[False][3]
    names = list(one.bronchi)
    for name in names[1:]:
        start = one.bronchi[name].ends[:1, :3]
        others = [one.bronchi[n] for n in names if n != name]
        nearest = min(float(distance_to_tubes(start, o)[0]) for o in others)
        assert nearest < 0, name
    for tubes in one.bronchi.values():
        assert (tubes.radii[:, 1] <= tubes.radii[:, 0]).all()
    whole = one.proximal_tree()
    assert len(whole) == sum(len(t) for t in one.bronchi.values())


def test_the_trachea_goes_on_where_the_tree_begins(people: dict[bool, list[Anatomy]]) -> None:
    for one in people[True]:
        top = one.bronchi["trachea"]
        np.testing.assert_allclose(one.trachea.ends[-1, 3:], top.ends[0, :3])
        assert one.trachea.radii[-1, 1] == top.radii[0, 0]
        # 2 cm of it belong to the proximal tree
        assert top.ends[0, 2] - top.ends[0, 5] == pytest.approx(20)
        for before, after in pairwise(one.aorta.ends):
            np.testing.assert_allclose(before[3:], after[:3])

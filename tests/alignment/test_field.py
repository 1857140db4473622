"""The spline against what any cubic spline must do."""

import numpy as np
import pytest

from metasight.alignment.field import Field, basis, bending, lattice
from metasight.errors import AlignmentError


@pytest.fixture
def field():
    rng = np.random.default_rng(3)
    return Field(
        spacing_um=40.0, origin_um=(100.0, 50.0), coefficients_um=rng.normal(0, 5, (9, 11, 2))
    )


@pytest.fixture
def points():
    return np.random.default_rng(4).uniform([100, 50], [100 + 320, 50 + 240], (200, 2))


def test_weights_sum_to_one(points):
    matrix = basis(points - [100, 50], 40.0, (9, 11))
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)


def test_equal_coefficients_shift_everything_alike(points):
    field = Field(spacing_um=40.0, origin_um=(100, 50), coefficients_um=np.full((9, 11, 2), 7.5))
    np.testing.assert_allclose(field.at(points), 7.5, atol=1e-12)


def test_linear_coefficients_give_a_linear_displacement():
    """A uniform B-spline with linear coefficients is that line: Marsden's identity."""
    columns = np.arange(11.0)
    coefficients = np.zeros((9, 11, 2))
    coefficients[:, :, 0] = columns - 1
    field = Field(spacing_um=10.0, origin_um=(0, 0), coefficients_um=coefficients)
    x = np.linspace(0, 80, 33)
    at = field.at(np.stack([x, np.full_like(x, 20)], axis=1))
    np.testing.assert_allclose(at[:, 0], x / 10, atol=1e-12)


def test_grid_and_points_agree(field):
    x, y = np.linspace(90, 430, 37), np.linspace(40, 300, 29)
    dx, dy = field.on_grid(x, y)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(
        np.stack([dx.ravel(), dy.ravel()], axis=1), field.at(grid), atol=1e-12
    )


def test_gradient_is_the_derivative(field, points):
    inside = points[((points > [105, 55]) & (points < [415, 285])).all(axis=1)]
    slope = field.gradient(inside)
    for axis in (0, 1):
        step = np.eye(2)[axis] * 1e-4
        numeric = (field.at(inside + step) - field.at(inside - step)) / 2e-4
        np.testing.assert_allclose(slope[:, :, axis], numeric, atol=1e-6)


def test_bending_ignores_the_affine_and_sees_the_rest():
    rows, columns = 7, 9
    y, x = np.mgrid[:rows, :columns].astype(float)
    energy = bending((rows, columns))
    plane = (3 + 2 * x - 0.5 * y).ravel()
    assert plane @ energy @ plane == pytest.approx(0, abs=1e-9)
    assert (x**2).ravel() @ energy @ (x**2).ravel() > 1
    assert (x * y).ravel() @ energy @ (x * y).ravel() > 1


def test_lattice_covers_the_section():
    rows, columns = lattice((1000.0, 730.0), 50.0)
    assert (columns - 3) * 50 >= 1000
    assert (rows - 3) * 50 >= 730


@pytest.mark.parametrize(
    "coefficients", [np.zeros((3, 5, 2)), np.zeros((5, 5)), np.full((5, 5, 2), np.nan)]
)
def test_what_is_no_field_is_refused(coefficients):
    with pytest.raises(AlignmentError, match="field"):
        Field(spacing_um=10.0, origin_um=(0, 0), coefficients_um=coefficients)

import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.cells import Cells, cells_of


def test_types_keep_the_order_given():
    cells = cells_of([1, 2, 3], [4, 5, 6], ["b", "a", "b"], ["b", "a", "c"])
    assert cells.type_code.tolist() == [0, 1, 0]
    assert cells.of_types(["b"]).tolist() == [True, False, True]
    assert not cells.of_types(["c"]).any()
    assert len(cells.take(np.array([2]))) == 1


def test_a_type_without_cells_differs_from_a_type_not_measured():
    cells = cells_of([1.0], [1.0], ["CD3"], ["CD3", "CD20"])
    assert not cells.of_types(["CD20"]).any()
    with pytest.raises(MarkerError, match="no such cell type"):
        cells.of_types(["CD8"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"x_um": np.array([np.nan])}, "finite position"),
        ({"y_um": np.zeros(2)}, "differ in length"),
        ({"type_code": np.array([1], dtype=np.int16)}, "no name"),
        ({"type_names": ("a", "a")}, "named twice"),
        ({"positive": {"CD3": np.zeros(2, dtype=bool)}}, "differ in length"),
        ({"probability": {"CD3": np.array([1.5])}}, "outside"),
    ],
)
def test_bad_cells(change, problem):
    good = {
        "x_um": np.zeros(1),
        "y_um": np.zeros(1),
        "type_code": np.zeros(1, dtype=np.int16),
        "type_names": ("a",),
    }
    with pytest.raises(MarkerError, match=problem):
        Cells(**(good | change))


def test_unlisted_type():
    with pytest.raises(MarkerError, match="not listed"):
        cells_of([1.0], [1.0], ["CD8"], ["CD3"])

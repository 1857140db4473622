"""Classes of other programs → positivity of each marker."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.cell_classes import with_markers
from metasight.maps.cells import Cells, cells_of

SPELLINGS = {"CD3": "CD3", "CD3e": "CD3", "CD20": "CD20", "L26": "CD20", "AE1/AE3": "Pan-CK"}


def marked(types, markers, **classes):
    cells = cells_of(np.arange(len(types)), np.arange(len(types)), types)
    return with_markers(
        cells, markers, spellings=SPELLINGS, classes=classes, where="cells of slide"
    )


def flags(found, marker):
    return found.positive[marker].tolist()


def test_every_form_of_a_class():
    types = [
        "CD3",
        "CD3+",
        "CD3-",
        "cd3 positive",
        "CD3: CD20",
        "L26",
        "Negative",
        "CD20 (Opal 570)",
    ]
    found = marked(types, ("CD3", "CD20"))
    assert flags(found, "CD3") == [True, True, False, True, True, False, False, False]
    assert flags(found, "CD20") == [False, False, False, False, True, True, False, True]
    assert found.type_names == ("other", "CD3", "CD20")
    assert found.type_code.tolist() == [1, 1, 0, 1, 1, 2, 0, 2]


def test_positive_alone_counts_where_there_is_one_marker():
    assert flags(marked(["Positive", "Negative", "2+"], ("CD3",)), "CD3") == [True, False, True]
    with pytest.raises(MarkerError, match="no class of the cells"):
        marked(["Positive", "Negative"], ("CD3", "CD20"))


def test_a_marker_that_no_class_names_is_not_zero():
    with pytest.raises(MarkerError) as error:
        marked(["CD3", "B cell"], ("CD3", "CD20"))
    assert error.value.value == "CD20"
    assert "[slides.classes]" in error.value.remedy
    found = marked(["CD3", "B cell"], ("CD3", "CD20"), **{"B cell": "CD20"})
    assert flags(found, "CD20") == [False, True]
    # a marker that the study maps may have no cell on this slide
    assert flags(marked(["CD3"], ("CD3", "CD20"), **{"B cell": "CD20"}), "CD20") == [False]
    # nor one that is there as negative
    assert flags(marked(["CD3", "CD20-"], ("CD3", "CD20")), "CD20") == [False, False]


def test_columns_of_positivity():
    cells = Cells(
        x_um=np.zeros(2),
        y_um=np.zeros(2),
        type_code=np.zeros(2, dtype=np.int16),
        type_names=("unclassified",),
        positive={"CD3e": np.array([True, False]), "Dye 1": np.array([False, True])},
    )
    found = with_markers(
        cells, ("CD3", "CD20"), spellings=SPELLINGS, classes={"Dye 1": "CD20"}, where="cells"
    )
    assert (flags(found, "CD3"), flags(found, "CD20")) == ([True, False], [False, True])

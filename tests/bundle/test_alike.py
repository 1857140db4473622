"""What was measured otherwise than in training is refused by name."""

from __future__ import annotations

import pytest

from metasight.bundle.alike import acquired_of, differences

PATIENTS = [
    {"ct": {"kernel": "smooth", "slice_mm": 1.0}, "slides": [{"stain": "H&E", "mpp": 0.25}]},
    {"ct": {"kernel": "smooth", "slice_mm": 1.25}, "slides": [{"stain": "H&E", "mpp": 0.5}]},
    {"ct": None, "slides": []},
]
TRAINING = acquired_of(PATIENTS)


def test_training_in_sum():
    assert TRAINING.ct_kernels == ("smooth",)
    assert TRAINING.ct_slice_mm == (1.0, 1.25)
    assert TRAINING.slide_mpp == {"H&E": (0.25, 0.5)}
    assert acquired_of([]).ct_slice_mm is None


@pytest.mark.parametrize("patient", PATIENTS)
def test_training_patients_are_alike(patient):
    assert differences(TRAINING, patient, scans=True, slides=True) == ()


@pytest.mark.parametrize(
    ("patient", "said"),
    [
        (
            {"ct": {"kernel": "sharp", "slice_mm": 1.0}},
            "kernel is sharp, those of training are smo",
        ),
        (
            {"ct": {"kernel": "smooth", "slice_mm": 5.0}},
            "slices are 5 mm apart, those of training 1",
        ),
        ({"ct": {"kernel": "smooth", "slice_mm": 0.5}}, "slices are 0.5 mm apart"),
        ({"slides": [{"stain": "IHC", "mpp": 0.25}]}, "stained by IHC, those of training by H&E"),
        ({"slides": [{"stain": "H&E", "mpp": 1.0}]}, "the H&E slide has 1 µm a pixel"),
    ],
)
def test_each_difference_has_its_name(patient, said):
    (found,) = differences(TRAINING, patient, scans=True, slides=True)
    assert said in found


def test_a_quarter_beyond_is_still_read():
    edge = {"ct": {"kernel": "smooth", "slice_mm": 1.25 * 1.25}}
    beyond = {"ct": {"kernel": "smooth", "slice_mm": 1.25 * 1.25 + 0.01}}
    assert differences(TRAINING, edge, scans=True, slides=True) == ()
    assert differences(TRAINING, beyond, scans=True, slides=True)


def test_images_that_the_model_does_not_read_are_not_asked_about():
    other = {"ct": {"kernel": "sharp", "slice_mm": 9.0}, "slides": [{"stain": "x", "mpp": 9.0}]}
    assert differences(TRAINING, other, scans=False, slides=False) == ()

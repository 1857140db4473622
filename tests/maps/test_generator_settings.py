"""Settings of a generator: sizes that fit each other, and the same from its file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from metasight.errors import MarkerError
from metasight.maps.generator_settings import GeneratorSettings, StainShift

DEFAULT = GeneratorSettings()


def test_sizes_that_follow():
    assert DEFAULT.scale == 16  # pixels of 1 µm to 16 µm
    assert DEFAULT.step_px == 16 * 2**3
    assert DEFAULT.rounds == 20
    assert replace(DEFAULT, steps=1001).rounds == 21
    assert replace(DEFAULT, steps=49).rounds == 1
    assert replace(DEFAULT, mpp=0.5, depth=2).step_px == 32 * 4


def test_the_file_gives_the_same_settings_back():
    told = replace(
        DEFAULT, region_um=(32.0, 64.0, 256.0), shift=StainShift(strength=1.2), device="cpu"
    )
    assert GeneratorSettings.from_json(json.loads(json.dumps(told.as_json()))) == told


@pytest.mark.parametrize("change", [{"extra": 1}, {"width": None}])
def test_a_file_of_another_version(change):
    data = DEFAULT.as_json()
    if "extra" in change:
        data |= change
    else:
        del data["width"]
    with pytest.raises(MarkerError, match="of another version") as error:
        GeneratorSettings.from_json(data)
    assert error.value.value == next(iter(change))


def test_a_file_with_a_broken_value():
    with pytest.raises(MarkerError, match="cannot be read"):
        GeneratorSettings.from_json(DEFAULT.as_json() | {"region_um": ["wide"]})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"spacing_um": 12.0}, "4, 8, 16, 32"),
        ({"spacing_um": 2.0}, "4, 8, 16, 32"),
        ({"mpp": 0.0}, "4, 8, 16, 32"),
        ({"region_um": ()}, "multiples of the map's spacing"),
        ({"region_um": (64.0, 100.0)}, "multiples of the map's spacing"),
        ({"region_um": (128.0, 64.0)}, "multiples of the map's spacing"),
        ({"region_um": (64.0, 64.0)}, "multiples of the map's spacing"),
        ({"depth": 5}, "depth"),
        ({"depth": 0}, "depth"),
        ({"batch": 0}, "batch"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"held_out": 1.0}, "held out"),
    ],
)
def test_settings_that_do_not_fit(changes, problem):
    with pytest.raises(MarkerError, match=problem):
        replace(DEFAULT, **changes)


@pytest.mark.parametrize(
    "changes",
    [{"strength": 0.9}, {"colour": -0.1}, {"resolution": 0.31}, {"blur_um": float("inf")}],
)
def test_shifts_that_are_none(changes):
    with pytest.raises(MarkerError):
        StainShift(**changes)

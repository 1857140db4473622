"""Training goes on where it stopped and gives the same weights each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from metasight.segmentation.lesion_network import CHANNELS, SIDE, VOTES
from metasight.segmentation.lesion_network_training import (
    Click,
    Example,
    TrainingSettings,
    drawn,
    trained,
)


def example(patient: str, radius: float = 6.0) -> Example:
    z, y, x = np.ogrid[:51, :51, :51]
    ball = (z - 25) ** 2 + (y - 25) ** 2 + (x - 25) ** 2 <= radius**2
    rng = np.random.default_rng(int(radius))
    hu = np.where(ball, 30.0, -850.0) + rng.normal(0, 20, ball.shape)
    return Example(
        hu=hu.astype(np.float32),
        mask=ball.astype(np.float32),
        voxel_mm=1.0,
        patient=patient,
        clicks=(
            Click(
                at=(25.0, 25.0, 25.0),
                outlines=np.packbits([ball, ball], axis=-1),
                answer=np.packbits(ball, axis=-1),
                cut_share=0.0,
                n_voters=1,
            ),
        ),
    )


def test_what_is_drawn_shows_the_nodule_about_the_click() -> None:
    shown = example("a")
    inputs, target = drawn(shown, np.random.default_rng(1))
    assert inputs.shape == (CHANNELS, SIDE, SIDE, SIDE) and target.shape == (SIDE, SIDE, SIDE)
    middle = (SIDE // 2,) * 3
    assert target[middle] == 1 and target[0, 0, 0] == 0
    assert inputs[VOTES][middle] == 1
    again, _ = drawn(shown, np.random.default_rng(1))
    assert again.tobytes() == inputs.tobytes()
    other, _ = drawn(shown, np.random.default_rng(2))
    assert other.tobytes() != inputs.tobytes()


def test_training_gives_the_same_weights_stopped_or_not(tmp_path: Path) -> None:
    examples = [example("a"), example("b", 4.0)]
    settings = TrainingSettings(steps=4, batch=2)
    whole = trained(examples, [1, 1], settings)
    file = tmp_path / "checkpoint.pt"
    trained(examples, [1, 1], TrainingSettings(steps=4, batch=2, stop=2), checkpoint=file, every=2)
    resumed = trained(examples, [1, 1], settings, checkpoint=file, every=2)
    for name, weight in whole.weights.items():
        assert weight.tobytes() == resumed.weights[name].tobytes(), name

"""Where a network looked: whose slides are drawn, by which fits, on which scale."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from metasight.engine.step import Input, Inputs, StepKind
from metasight.report.attention import Patches, attention_overlay
from metasight.steps.files import write_json
from metasight.steps.risk.attention import AttentionArgument, draw_attention
from metasight.steps.slides.patches import BAGS

OVERVIEW = np.full((60, 80, 3), 200, dtype=np.uint8)
MPP, OVERVIEW_MPP = 0.5, 16.0


@pytest.fixture
def checked(tmp_path):
    folder = tmp_path / "check"
    folder.mkdir()
    cv2.imwrite(str(folder / "overview.png"), OVERVIEW)
    with (folder / "tissue.npz").open("wb") as file:
        np.savez(file, tissue=np.ones((60, 80), dtype=bool), mpp=np.array(OVERVIEW_MPP))
    write_json(folder / "quality.json", {"mpp": MPP})
    return folder


def fit(tmp_path, name, shares, *, model="network", scheme="kfold", slide=0):
    folder = tmp_path / name
    folder.mkdir()
    write_json(folder / "audit.json", {"model": model, "scheme": scheme})
    pd.DataFrame(
        {
            "patient": "P1",
            "slide": slide,
            "x": [0, 512],
            "y": [0, 512],
            "patch_px": 512.0,
            "share": shares,
        }
    ).to_parquet(folder / "attention.parquet")
    return Input(name=name, kind=StepKind.FIT, subject=model, folder=folder)


def drawn(tmp_path, checked, fits):
    bags, out = tmp_path / "bags", tmp_path / "out"
    bags.mkdir()
    out.mkdir()
    write_json(bags / "bags.json", {"checks": {"P1": ["check s1", "check s2"]}, "ledger": []})
    inputs = Inputs(
        (
            *fits,
            Input(name="check s1", kind=StepKind.CHECK_SLIDE, subject="P1", folder=checked),
            Input(name=BAGS, kind=StepKind.GATHER_BAGS, subject="", folder=bags),
        )
    )
    draw_attention(inputs, out, AttentionArgument(model="network"))
    return {p.stem: cv2.imread(str(p))[..., ::-1] for p in out.glob("*.png")}


def expected(shares):
    patches = Patches(
        corner_px=np.array([[0.0, 0.0], [512.0, 512.0]]),
        side_px=np.full(2, 512.0),
        share=np.array(shares),
    )
    return attention_overlay(OVERVIEW, patches, scale=MPP / OVERVIEW_MPP)


def test_the_picture_is_of_the_mean_over_fits_that_left_the_patient_out(tmp_path, checked):
    fits = [
        fit(tmp_path, "a", [0.9, 0.1]),
        fit(tmp_path, "b", [0.5, 0.5]),
        fit(tmp_path, "centre", [0.0, 1.0], scheme="centre"),
        fit(tmp_path, "other", [0.0, 1.0], model="another"),
    ]
    found = drawn(tmp_path, checked, fits)
    assert set(found) == {"P1"}
    np.testing.assert_array_equal(found["P1"], expected([0.7, 0.3]))
    assert not np.array_equal(found["P1"], expected([0.3, 0.7]))


def test_only_the_first_slide_of_a_bag_is_drawn(tmp_path, checked):
    assert drawn(tmp_path, checked, [fit(tmp_path, "a", [0.9, 0.1], slide=1)]) == {}


def test_without_a_fit_that_looked_there_is_no_picture(tmp_path, checked):
    assert drawn(tmp_path, checked, [fit(tmp_path, "a", [0.9, 0.1], scheme="centre")]) == {}

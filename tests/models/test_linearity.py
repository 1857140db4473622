"""A bent predictor against a straight one, as R's two fits differ."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.models.linearity import linearity


def columns(frame) -> np.ndarray:
    stage = frame["stage"].to_numpy(str)
    raw = np.column_stack([frame["marker"], frame["node"], stage == "b", stage == "c"]).astype(
        float
    )
    return (raw - raw.mean(axis=0)) / raw.std(axis=0)


def test_it_is_the_gain_in_r_s_log_likelihood(made_up, by_r):
    _, frame = made_up
    found = linearity(
        frame["size"].to_numpy(float),
        columns(frame),
        frame["time"].to_numpy(float),
        (frame["status"] == 1).to_numpy(),
        name="size",
    )
    assert (found.chisq, found.p) == pytest.approx(by_r["linearity of size: chisq, p"], rel=1e-6)
    assert (found.term, found.df) == ("size", 1)


def test_two_values_cannot_be_bent(made_up):
    _, frame = made_up
    arguments = (columns(frame), frame["time"].to_numpy(float), (frame["status"] == 1).to_numpy())
    assert linearity(frame["node"].to_numpy(float), *arguments, name="node") is None


def test_a_fit_without_a_maximum_gives_no_test(made_up):
    _, frame = made_up
    few = (frame["status"] == 1).to_numpy() & (np.arange(len(frame)) < 6)
    time = frame["time"].to_numpy(float)
    assert linearity(frame["size"].to_numpy(float), columns(frame), time, few, name="s") is None


def test_a_predictor_that_the_others_determine_is_not_tested(made_up):
    _, frame = made_up
    size = frame["size"].to_numpy(float)
    others = np.column_stack([columns(frame), (size - size.mean()) / size.std()])
    arguments = (frame["time"].to_numpy(float), (frame["status"] == 1).to_numpy())
    assert linearity(size, others, *arguments, name="size") is None

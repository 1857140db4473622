"""Instability and D-calibration: the data beneath the pictures are the numbers judged."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from metasight.report.drawing import HEADLINE, looks
from metasight.report.spread import MOST_SHOWN, d_calibration_figure, instability_figure
from metasight.report.view import View
from metasight.validation.results import NotEstimable


def rows(figure):
    return list(csv.DictReader(io.StringIO(figure.data)))


def patients(n: int):
    risk = np.linspace(0.01, 0.9, n)
    return tuple({"risk": r, "lower": r * 0.8, "upper": min(r * 1.3, 1.0)} for r in risk.tolist())


def test_every_patient_is_in_the_data_however_many_are_drawn(survival):
    many = replace(survival.optimism, patients=patients(2 * MOST_SHOWN + 1))
    figure = instability_figure(many, HEADLINE, "5 years")
    assert len(rows(figure)) == 2 * MOST_SHOWN + 1
    assert "One patient in 3" in figure.caption
    few = replace(survival.optimism, patients=patients(MOST_SHOWN))
    assert "One patient in" not in instability_figure(few, HEADLINE, "5 years").caption


def test_the_words_give_the_middle_width(survival):
    """Widths 0.1 · risk … : half the patients have a wider range than the median patient's."""
    told = tuple(
        {"risk": 0.3, "lower": 0.3 - w, "upper": 0.3 + w} for w in (0.01, 0.02, 0.1, 0.12, 0.14)
    )
    figure = instability_figure(replace(survival.optimism, patients=told), HEADLINE, "5 years")
    assert "wider than 20 %" in figure.alt.replace("\u00a0", " ").replace("\u202f", " ")


def test_bins_are_tenths_and_all_models_patients(survival):
    view = View(survival)
    figure = d_calibration_figure(view, looks(view.models, view.reference, view.lead))
    data = rows(figure)
    for model in view.leading:
        own = [r for r in data if r["model"] == model]
        assert [float(r["bin_from"]) for r in own] == pytest.approx(np.arange(10) / 10)
        total = sum(float(r["patients"]) for r in own)
        assert total == pytest.approx(view.headline.n)
        assert [float(r["expected"]) for r in own] == pytest.approx([total / 10] * 10)


def test_without_an_estimate_there_is_no_figure(survival):
    first = survival.analyses[0]
    none = NotEstimable(not_estimable="no events")
    models = {name: replace(m, d_calibration=none) for name, m in first.evaluation.models.items()}
    changed = replace(first, evaluation=replace(first.evaluation, models=models))
    view = View(replace(survival, analyses=(changed, *survival.analyses[1:])))
    assert d_calibration_figure(view, looks(view.models, view.reference, view.lead)) is None

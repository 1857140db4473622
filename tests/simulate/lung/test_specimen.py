"""One patient before pixels: latents become a lesion by limits, and it is put where it fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.simulate.lung import specimen
from metasight.simulate.lung.patients import draw_patients
from metasight.simulate.lung.settings import LungSettings, NoduleSettings, ThoraxSettings
from metasight.simulate.lung.specimen import drawn, name_of, nodule_of, plan_of

SETTINGS = LungSettings(patients=30, centres=3)


def person(**changes):
    one = draw_patients(np.random.default_rng(0), SETTINGS, np.array([0]))
    return replace(one, **{k: np.array([v]) for k, v in changes.items()})


def test_names_count_from_one():
    assert [name_of(k) for k in (0, 41, 12345)] == ["SIM-0001", "SIM-0042", "SIM-12346"]


@pytest.mark.parametrize(
    ("spiculation", "margin", "pleura", "vessel"),
    [
        (-0.5, "smooth", "free", False),
        (-0.49, "lobulated", "free", False),
        (0.35, "lobulated", "free", False),
        (0.36, "spiculated", "free", False),
        (0.95, "spiculated", "tag", False),
        (1.05, "spiculated", "tag", True),
    ],
)
def test_the_margin_follows_spiculation(spiculation, margin, pleura, vessel):
    told = nodule_of(person(spiculation=spiculation, central=False))
    assert (told.margin, told.pleura, told.vessel) == (margin, pleura, vessel)


def test_a_central_lesion_has_no_tag():
    assert nodule_of(person(spiculation=1.5, central=True)).pleura == "free"


@pytest.mark.parametrize(("ctr", "solid"), [(1.0, 20.0), (0.5, 10.0), (0.0, 0.0)])
def test_the_solid_part_is_the_ratios_share(ctr, solid):
    told = nodule_of(person(size_mm=20.0, ctr=ctr))
    assert told.diameter_mm == 20.0
    assert told.solid_diameter_mm == pytest.approx(solid)


def test_uneven_lesions_stay_within_what_is_drawn():
    unevenness = [nodule_of(person(heterogeneity=h)).texture_hu for h in (-9.0, 0.0, 1.0, 9.0)]
    assert unevenness == pytest.approx([2.0, 12.0, 12 * np.exp(0.45), 60.0])


def test_centres_take_patients_in_turn_and_no_draw_depends_on_another():
    plans = [plan_of(SETTINGS, 5, k) for k in range(6)]
    names = [p.centre.name for p in plans]
    assert names[:3] == names[3:]
    assert len(set(names)) == 3
    larger = SETTINGS.model_copy(update={"patients": 900})
    again = plan_of(larger, 5, 4).patients
    assert again.size_mm == plans[4].patients.size_mm
    assert plan_of(SETTINGS, 6, 4).patients.size_mm != plans[4].patients.size_mm


@pytest.mark.parametrize(("share", "defects"), [(0.0, 0), (1.0, 12)])
def test_all_or_none_have_a_defect(share, defects):
    settings = SETTINGS.model_copy(update={"defect_fraction": share, "click_fraction": share})
    plans = [plan_of(settings, 5, k) for k in range(12)]
    assert sum(bool(p.defect) for p in plans) == sum(p.click for p in plans) == defects


@pytest.mark.parametrize(
    ("lobe", "first_lobes"),
    [(2, [2, 2, 3, 5, 2, None, None]), (1, [1, 1, 1, 4, None, None])],
)
def test_a_lesion_that_does_not_fit_is_tried_in_like_lobes_and_then_anywhere(
    monkeypatch, lobe, first_lobes
):
    tried = []

    def full(settings, _):
        tried.append(settings.nodule)
        raise VolumeError("the lesion fits nowhere", where="simulated thorax")

    monkeypatch.setattr(specimen, "draw_thorax", full)
    wanted = NoduleSettings(
        diameter_mm=50.0, solid_diameter_mm=50.0, lobe=lobe, central=True, pleura="tag"
    )
    with pytest.raises(VolumeError, match="fits nowhere"):
        drawn(ThoraxSettings(nodule=wanted), (1, 2))
    assert [n.lobe for n in tried] == first_lobes
    # a fissure may cross it from the second try on; where it lies is given up last
    assert [n.across_fissure for n in tried] == [False] + [True] * (len(tried) - 1)
    assert [n.central for n in tried] == [True] * (len(tried) - 1) + [None]
    assert {n.diameter_mm for n in tried} == {50.0}

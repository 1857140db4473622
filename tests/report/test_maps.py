"""The section on generated maps, and what each modality adds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metasight.report.blocks import Figure
from metasight.report.contents import ContributionsResult, MapExample, MapsResult
from metasight.report.document import compose, write_report
from metasight.report.html import to_html

MARKERS = ("Pan-CK", "CD3", "CD20")


def estimate(value):
    return {"value": value, "lower": value - 0.1, "upper": value + 0.1}


def region(marker, region_um, pearson):
    return {
        "marker": marker,
        "region_um": region_um,
        "pearson": estimate(pearson),
        "pearson_nuclei": 0.31,
        "pearson_shuffled": 0.02,
        "ceiling": 0.93,
        "concordance": estimate(0.7),
        "slope": estimate(0.9),
        "f1": estimate(0.8),
        "f1_all_positive": 0.5,
        "covered": estimate(0.91),
    }


@pytest.fixture
def maps() -> MapsResult:
    rng = np.random.default_rng(0)

    def planes():
        return {m: rng.gamma(2, 100, (20, 30)).astype(np.float32) for m in MARKERS}

    return MapsResult(
        patients=12,
        painted=11,
        unlike=2,
        failed=1,
        compared=5,
        regions=tuple(region(m, r, 0.8) for m in MARKERS for r in (64.0, 128.0)),
        biomarkers=(
            {
                "name": "tls_count",
                "n": 5,
                "icc": 0.61,
                "icc_lower": 0.1,
                "icc_upper": 0.9,
                "bias": 0.4,
                "limit_lower": -1.0,
                "limit_upper": 1.8,
                "measured": [0.0, 1.0, 2.0, 1.0, 0.0],
                "painted": [1.0, 1.0, 3.0, 1.0, 0.0],
            },
            {
                "name": "constant",
                "n": 5,
                "icc": None,
                "icc_lower": None,
                "icc_upper": None,
                "bias": 0.0,
                "limit_lower": 0.0,
                "limit_upper": 0.0,
                "measured": [],
                "painted": [],
            },
        ),
        labels=(
            {
                "name": "mixing_class",
                "n": 5,
                "kappa": 0.55,
                "lower": 0,
                "upper": 1,
                "observed": 0.8,
            },
        ),
        tls={"measured": 9, "generated": 8, "hit": 7, "confirmed": 6, "by_chance": 1.4},
        examples=(
            MapExample(
                patient="P0123456789",
                pearson=0.71,
                spacing_um=16.0,
                painted=planes(),
                measured=planes(),
                outlines_um=(((0, 0), (100, 0), (100, 100), (0, 0)),),
            ),
        ),
    )


def test_maps_are_told_with_their_baselines_and_what_they_may_be_used_for(survival, maps):
    text = to_html(compose(replace(survival, maps=maps)))
    for said in (
        "11 of 12 patients",
        "2 slides are unlike",
        "1 could not be generated",
        "0.80 (0.70 to 0.90)",
        "Ceiling",
        "0.31",
        "It does not identify single cells",
        "1 biomarker of 2 agree by less than 0.75",
        "mixing class: κ 0.55",
        "7 of 9 on the sections",
        "1.4 by chance",
    ):
        assert said in text.replace("\N{NO-BREAK SPACE}", " "), said


def test_the_same_maps_give_the_same_figure(survival, maps):
    def figures():
        blocks = compose(replace(survival, maps=maps)).blocks
        return [b.svg for b in blocks if isinstance(b, Figure) and b.anchor.startswith("map-")]

    first = figures()
    assert len(first) == 2
    assert first == figures()


def test_nothing_to_compare_is_said(survival, maps):
    alone = replace(maps, compared=0, regions=(), biomarkers=(), labels=(), examples=())
    assert "agreement is unknown" in to_html(compose(replace(survival, maps=alone)))
    assert "Generated maps" not in to_html(compose(survival))


def test_the_table_of_regions_is_told_beside_its_baselines(survival, maps):
    row = region("CD3", 55.2, 0.44) | {"patients": 7, "regions": 321, "score": False}
    row["spearman"] = estimate(0.41)
    scored = row | dict.fromkeys(("ceiling", "covered")) | {"score": True, "marker": "CD20"}
    told = replace(maps, regions=(), table_regions=(row, scored))
    text = to_html(compose(replace(survival, maps=told))).replace("\N{NO-BREAK SPACE}", " ")
    assert "agreement is unknown" not in text
    for said in ("CD3, density, 55 µm", "CD20, score, 55 µm", "7, 321", "0.44 (0.34 to 0.54)"):
        assert said in text, said
    assert "table of regions" not in to_html(compose(replace(survival, maps=maps)))


def test_contributions_and_maps_reach_both_files(survival, maps, tmp_path):
    told = ContributionsResult(
        model="all",
        n=40,
        modalities={
            "clinical": {"sd": 0.5, "widest": 1.2},
            "generated": {"sd": 0.2, "widest": 0.6},
        },
    )
    write_report(replace(survival, maps=maps, contributions=told), tmp_path)
    assert "What each modality adds" in (tmp_path / "report.html").read_text("utf-8")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000

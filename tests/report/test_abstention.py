"""What is said of patients about whom the headline model is silent."""

from __future__ import annotations

import math
from dataclasses import replace

from metasight.estimate import Estimate
from metasight.report.abstention import section
from metasight.report.blocks import DataTable, Paragraph
from metasight.report.view import View

FOUND = {
    "model": "clinical + maps",
    "silent": 12,
    "patients": 160,
    "unmeasured": 3,
    "centres": [
        {"centre": "North", "patients": 80, "silent": 10},
        {"centre": "Nobody", "patients": 0, "silent": 0},
    ],
    "all": {
        "patients": 160,
        "measures": {
            "C": Estimate(value=0.71, lower=0.65, upper=0.77).to_json(),
            "AUC": Estimate(value=math.nan).to_json(),
        },
    },
    "speaking": {"patients": 148, "measures": {"C": Estimate(value=0.74).to_json()}},
}


def of(contents, **changes):
    found = None if changes.get("none") else {**FOUND, **changes}
    return section(View(replace(contents, abstention=found)))


def plain(value) -> str:
    return str(value).replace("\u00a0", " ").replace("\u202f", " ")


def cells(table):
    return [tuple(plain(c) for c in r.cells) for r in table.rows]


def test_a_model_that_never_abstains_has_no_section(survival):
    assert of(survival, none=True) == []


def test_shares_and_who_was_not_measured(survival):
    blocks = of(survival)
    (text,) = [plain(b.text) for b in blocks if isinstance(b, Paragraph)]
    assert "gives no risk for 12 of 160 patients (7.5 %)" in text
    assert "needed to compare them (3)" in text
    assert "needed to compare them" not in plain(of(survival, unmeasured=0)[1].text)


def test_a_centre_without_patients_divides_by_nothing(survival):
    centres = next(b for b in of(survival) if isinstance(b, DataTable))
    assert cells(centres)[0] == ("North", "80", "10 (12 %)") or cells(centres)[0] == (
        "North",
        "80",
        "10 (13 %)",
    )
    assert cells(centres)[1][1:] == ("0", "0 (0 %)")


def test_measures_that_both_have_stand_side_by_side(survival):
    _, measures = [b for b in of(survival) if isinstance(b, DataTable)]
    ((name, everyone, spoken),) = cells(measures)
    assert name == "C"
    assert everyone.startswith("0.71")
    assert "0.65" in everyone
    assert spoken.startswith("0.74")
    assert "(" not in spoken  # no interval, none is made up


def test_nothing_can_be_judged_without_them(survival):
    blocks = of(survival, speaking={"skipped": "no event is left."})
    assert plain(blocks[-1].text).find("could not be estimated: no event is left.") > 0
    assert len([b for b in blocks if isinstance(b, DataTable)]) == 1
    assert len(of(survival, speaking=None)) == 3

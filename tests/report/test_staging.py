"""Staging as it is printed: shares of those examined, net benefit per 1,000, one example."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from metasight.report.blocks import BulletList, DataTable, Paragraph
from metasight.report.staging import section
from metasight.report.view import View


def plain(value) -> str:
    text = str(value).replace("\u00a0", " ").replace("\u202f", " ")
    return text.replace("\u2212", "-").replace("–", "-")


def cell(rule, low, high, patients, examined, positive):
    return {
        "rule": rule,
        "from": low,
        "to": high,
        "patients": patients,
        "examined": examined,
        "positive": positive,
    }


def patient(name, value, agree, text="said"):
    return {"patient": name, "value": value, "agree": agree, "text": [f"{name} {text}"]}


FOUND = {
    "model": "clinical + CT",
    "evidence": "cross-fitted risks of 200 patients",
    "interval": "true risk",
    "limits": {
        "largest_peripheral_mm": 30.0,
        "sensitivity": 0.5,
        "sensitivity_lower": 0.35,
        "sensitivity_upper": 0.65,
        "thresholds": [0.05, 0.1],
    },
    "cells": [
        cell("indicated", 0.1, 1.0, 12, 9, 3),
        cell("optional", 0.0, 0.05, 40, 30, 1),
        cell("optional", 0.05, 0.1, 0, 0, 0),
        cell("optional", None, None, 7, 0, 0),
    ],
    "benefit": {
        "patients": 39,
        "positive": 4,
        "rows": [
            {
                "threshold": 0.05,
                "risk": 0.0621,
                "rule": 0.05,
                "everybody": -0.0123,
                "gain": {"value": 0.0121, "lower": -0.004, "upper": 0.0282},
            }
        ],
    },
    "ebus": [
        {"risk": 0.2, "after": {"value": 0.111, "lower": 0.08, "upper": 0.14}, "needed": 0.79},
        {"risk": 0.04, "after": {"value": 0.02, "lower": 0.014, "upper": 0.026}, "needed": None},
    ],
    "patients": [
        patient("A", None, None),
        patient("B", 0.9, True),
        patient("C", 0.2, False),
        patient("D", 0.3, False),
    ],
}


@pytest.fixture
def blocks(nodal):
    def build(**changes):
        found = {**deepcopy(FOUND), **changes}
        return section(View(replace(nodal, staging=found)))

    return build


def rows(told, anchor) -> list[tuple[str, ...]]:
    (table,) = (b for b in told if isinstance(b, DataTable) and b.anchor == anchor)
    return [tuple(plain(c) for c in r.cells) for r in table.rows]


def test_positive_nodes_are_a_share_of_those_examined(blocks):
    """3 of 9 is 33 %, and of 12 patients nothing is said of the three not examined."""
    assert rows(blocks(), "staging-cells") == [
        ("Staging may be left out",),
        ("0 % to 5 %", "40", "30", "1 (3 %)"),
        ("The model gives no risk", "7", "0", "-"),
        ("Staging is indicated",),
        ("10 % to 100 %", "12", "9", "3 (33 %)"),
    ]


def test_net_benefit_is_per_thousand_with_its_sign(blocks):
    assert rows(blocks(), "staging-benefit-table") == [
        ("5 %", "62", "50", "-12", "+12 (-4 to +28)")
    ]


def test_a_benefit_that_was_not_estimated_has_its_reason(blocks):
    told = blocks(benefit={"skipped": "no patient was examined"})
    assert "Not estimable: no patient was examined." in [
        plain(b.text) for b in told if isinstance(b, Paragraph)
    ]
    assert not [b for b in told if isinstance(b, DataTable) and "benefit" in b.anchor]


def test_after_ebus_a_poor_test_leaves_more_risk(blocks):
    assert rows(blocks(), "staging-ebus-table") == [
        ("20 %", "11.1 %", "14.0 % or 8.0 %", "79 %"),
        ("4 %", "2.0 %", "2.6 % or 1.4 %", "-"),
    ]


def test_the_example_is_where_rule_and_risk_differ_most(blocks):
    (said,) = (b for b in blocks() if isinstance(b, BulletList))
    assert said.items == ("D said",)
    agreeing = [p for p in FOUND["patients"] if p["agree"] is not False]
    (said,) = (b for b in blocks(patients=agreeing) if isinstance(b, BulletList))
    assert said.items == ("B said",)
    assert not [b for b in blocks(patients=[patient("A", None, None)]) if isinstance(b, BulletList)]


def test_without_staging_there_is_no_section(nodal):
    assert section(View(replace(nodal, staging=None))) == []
    skipped = section(View(replace(nodal, staging={"skipped": "one arm"})))
    assert [plain(b.text) for b in skipped if isinstance(b, Paragraph)] == ["Not shown: one arm."]


def test_what_is_central_is_said_with_how_often_definitions_differ(blocks):
    told = {"definition": "inner two thirds", "measured": 8, "central": 3, "disagree": 5}
    said = [plain(b.text) for b in blocks(centrality=told) if isinstance(b, Paragraph)]
    (text,) = [t for t in said if "Central is what the protocol defines" in t]
    assert "inner two thirds" in text
    assert "Of 8 lesions measured on the CT, 3 are central by it" in text
    assert "otherwise of 5" in text
    none = {**told, "measured": 0}
    said = [plain(b.text) for b in blocks(centrality=none) if isinstance(b, Paragraph)]
    assert not any("measured on the CT" in t for t in said)
    assert not any("Central is" in plain(b.text) for b in blocks() if isinstance(b, Paragraph))

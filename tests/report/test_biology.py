"""Risk and expression: p values as printed, colours by direction, numbers in their columns."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from metasight.report.biology import _HIGHER, _LOWER, _p, section
from metasight.report.blocks import DataTable, Figure, Paragraph
from metasight.report.drawing import RULE
from metasight.report.view import View


def plain(value) -> str:
    text = str(value).replace("\u00a0", " ").replace("\u202f", " ")
    return text.replace("\u2212", "-")


def gene_set(k: int) -> dict:
    return {
        "set": f"HALLMARK_SET_{k}",
        "size": 20 + k,
        "nes": 1.5 - 0.1 * k,
        "p": 0.001 * (k + 1),
        "fdr": 0.01 * (k + 1),
        "gseapy_p": 0.0,
        "single_sample_t": -2.04,
        "single_sample_fdr": None,
    }


FOUND = {
    "model": "clinical + CT",
    "predicted": 120,
    "patients": 90,
    "without_expression": 28,
    "genes": 4,
    "adjusted": ["age", "sex"],
    "not_adjusted": [],
    "genes_left_out": 0,
    "genes_below_5_percent": 2,
    "volcano": {
        "effect": [0.8, -0.7, 0.1, 0.9],
        "p": [1e-5, 1e-4, 0.5, 0.2],
        "fdr": [0.001, 0.002, 0.5, 0.3],
    },
    "leading_genes": [
        {"gene": "AAA", "effect": 0.8, "t": 4.71, "p": 1e-5, "fdr": 0.001},
        {"gene": "BBB", "effect": -0.7, "t": -4.1, "p": 1e-4, "fdr": 0.002},
    ],
    "permutations": 1000,
    "sets": [gene_set(k) for k in range(18)],
    "drawn": [],
    "null": {"replicates": 20, "below_5_percent": 0.047, "any_discovery": 0.05, "counts": [3, 5]},
}


@pytest.fixture
def blocks(nodal):
    def build(**changes):
        return section(View(replace(nodal, biology={**FOUND, **changes})))

    return build


def rows(told, anchor) -> list[tuple[str, ...]]:
    (table,) = (b for b in told if isinstance(b, DataTable) and b.anchor == anchor)
    return [tuple(plain(c) for c in r.cells) for r in table.rows]


def words(told) -> str:
    return " ".join(plain(b.text) for b in told if isinstance(b, Paragraph))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "< 0.001"),  # resampling never reached it; it is not nought
        (0.0123, "0.012"),
        (0.001, "0.001"),
        (0.00042, "4e-4"),
        (3.2e-12, "3e-12"),
        (1.0, "1.000"),
    ],
)
def test_p_values(value, text):
    assert _p(value) == text


def test_genes_are_signed_and_in_their_columns(blocks):
    assert rows(blocks(), "biology-genes-table") == [
        ("AAA", "+0.80", "+4.7", "1e-5", "0.001"),
        ("BBB", "-0.70", "-4.1", "1e-4", "0.002"),
    ]


def test_sets_are_cut_at_fifteen_and_said_to_be(blocks):
    told = blocks()
    found = rows(told, "biology-sets-table")
    assert len(found) == 15
    assert found[0] == ("HALLMARK SET 0", "20", "+1.50", "0.001", "0.010", "< 0.001", "-2.0", "–")
    (table,) = (b for b in told if isinstance(b, DataTable) and b.anchor == "biology-sets-table")
    assert "15 of 18" in plain(table.caption)


def test_genes_are_coloured_by_direction_only_below_the_limit(blocks):
    (volcano,) = (b for b in blocks() if isinstance(b, Figure) and b.anchor == "biology-volcano")
    points = Counter(re.findall(r"<use [^>]*fill: (#\w{6})", volcano.svg))
    # one point and its legend's; what is not significant is grey whatever its effect
    assert (points[_HIGHER], points[_LOWER], points[RULE]) == (2, 2, 3)
    lines = volcano.data.splitlines()
    assert [float(v) for v in lines[1].split(",")] == [0.8, 1e-5, 0.001]
    assert len(lines) == 5


def test_what_is_found_in_nothing_is_a_share_of_replicates(blocks):
    told = blocks()
    assert "20 times the risk was permuted at random" in words(told)
    assert "4.7 % of the p values" in words(told)
    (null,) = (b for b in told if isinstance(b, Figure) and b.anchor == "biology-null-figure")
    cells = [tuple(float(v) for v in line.split(",")) for line in null.data.splitlines()[1:]]
    assert cells == [(0.0, 3.0), (0.5, 5.0)]


def test_what_could_not_be_adjusted_for_is_said(blocks):
    assert "same or unknown in every patient" not in words(blocks())
    assert "same or unknown in every patient: smoker" in words(blocks(not_adjusted=["smoker"]))
    assert "adjusted for nothing" in words(blocks(adjusted=[]))
    assert "3 genes with a missing value are excluded" in words(blocks(genes_left_out=3))


def test_without_expression_there_is_no_section(nodal):
    assert section(View(replace(nodal, biology=None))) == []
    skipped = section(View(replace(nodal, biology={"skipped": "12 patients only"})))
    assert words(skipped) == "Not related: 12 patients only"

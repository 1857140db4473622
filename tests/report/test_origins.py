"""Provenance: settings a line each without what is not set, every input and version."""

from __future__ import annotations

from dataclasses import replace

from metasight.report.blocks import DataTable, Listing
from metasight.report.origins import protocol_hash, section
from metasight.report.view import View


def listing(contents) -> list[str]:
    (found,) = [b for b in section(View(contents)) if isinstance(b, Listing)]
    return found.text.splitlines()


def test_settings_are_lines_and_what_is_not_set_is_left_out(survival):
    settings = {
        "analysis": {"seed": 1, "horizons_years": [3, 5], "reason": "", "subgroups": []},
        "slides": None,
        "model": [{"kind": "cox", "splines": False, "penalty": None}],
        "salt": "Ä",
        "scans": {"crops": {"spacing_mm": 1.5, "jitter": {"sd": None}}},
    }
    assert listing(replace(survival, settings=settings)) == [
        "analysis.seed = 1",
        "analysis.horizons_years = [3, 5]",
        '[[model]] = {"kind": "cox", "splines": false}',
        'salt = "Ä"',
        'scans.crops = {"spacing_mm": 1.5}',
    ]


def test_without_settings_there_is_no_listing(survival):
    blocks = section(View(replace(survival, settings={})))
    assert not [b for b in blocks if isinstance(b, Listing)]


def test_every_input_with_its_hash(survival):
    inputs = {"patients.csv": "ab" * 32, "genes.csv": "cd" * 32}
    table = next(
        b
        for b in section(View(replace(survival, inputs=inputs)))
        if isinstance(b, DataTable) and b.anchor == "inputs"
    )
    assert [r.cells[0] for r in table.rows] == list(inputs)
    assert [r.cells[1][0].text for r in table.rows] == list(inputs.values())


def test_an_odd_number_of_versions_loses_none(survival):
    versions = {f"package{k}": f"1.{k}" for k in range(5)}
    table = next(
        b
        for b in section(View(replace(survival, versions=versions)))
        if isinstance(b, DataTable) and b.anchor == "versions"
    )
    cells = [r.cells for r in table.rows]
    pairs = [c[:2] for c in cells] + [c[2:] for c in cells]
    assert dict(p for p in pairs if p[0]) == versions
    assert len(cells) == 3


def test_the_protocols_hash_is_of_its_content(survival):
    one = protocol_hash(View(survival))
    changed = survival.protocol.model_copy(update={"version": "9.9.9"})
    assert protocol_hash(View(replace(survival, protocol=changed))) != one
    assert protocol_hash(View(replace(survival, title="another"))) == one

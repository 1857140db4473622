"""What reading a patient's scans makes of the CT's quality."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from metasight.cohort.scan_table import PatientScans
from metasight.cohort.settings import ScanSettings
from metasight.steps.files import read_json
from metasight.steps.scans import patient
from metasight.steps.scans.patient import ScanArgument, measure_scans
from metasight.volumes.ct_limits import CtLimits


@pytest.mark.parametrize(
    ("verdict", "fate", "poor"),
    [("passed", "kept", False), ("failed", "excluded", True), ("unknown", "unknown", None)],
)
def test_unknown_quality_is_neither_good_nor_poor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, fate: str, poor: bool | None
) -> None:
    ct = SimpleNamespace(spacing_mm=(1.0, 1.0, 2.0), facts=SimpleNamespace(choice=()))
    quality = SimpleNamespace(
        verdict=verdict, contrast="no", kernel="soft", reasons=("a reason",), findings=()
    )
    monkeypatch.setattr(patient, "read_ct", lambda *_, **__: ct)
    monkeypatch.setattr(patient, "ct_quality", lambda *_: quality)
    scans = PatientScans(patient="P", ct=tmp_path / "ct", pet=None, lesion=None)
    argument = ScanArgument(
        scans=scans, settings=ScanSettings(path="scans.csv", id="patient"), limits=CtLimits()
    )
    measure_scans({}, tmp_path, argument)
    found = read_json(tmp_path / "scan.json")
    assert found["format"] == 1
    assert found["evidence"] == {"ct_quality_poor": poor}
    row = found["ledger"][0]
    assert (row["item"], row["verdict"], row["reason"]) == ("CT", fate, "a reason")
    # a CT that is not known to be poor is measured all the same
    assert any(e["item"] == "lesion" for e in found["ledger"]) == (verdict != "failed")

"""Old names of files and folders, and where they lie now."""

from __future__ import annotations

import pytest

from metasight.deidentify.places import Places

KEPT = {
    "scans/SIM-1/CT/a.dcm": "P1/S1/C1/a.dcm",
    "scans/SIM-1/CT/b.dcm": "P1/S1/C1/b.dcm",
    "scans/SIM-1/lesion.dcm": "P1/S1/R1/l.dcm",
    "scans/SIM-11/CT/a.dcm": "P2/S2/C2/a.dcm",
}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SIM-1/CT", "P1/S1/C1"),
        ("scans/SIM-1/CT/", "P1/S1/C1"),
        ("scans\\SIM-1\\CT", "P1/S1/C1"),
        ("./SIM-1", "P1/S1"),
        ("SIM-1/lesion.dcm", "P1/S1/R1/l.dcm"),
        ("SIM-11/CT", "P2/S2/C2"),
        ("IM-1/CT", None),  # the end of a name is no name
        ("CT", None),  # two
        ("a.dcm", None),
        ("../SIM-1", None),
        ("SIM-2", None),
        ("", None),
    ],
)
def test_of_a_name(old, new):
    assert Places(KEPT).of(old) == new

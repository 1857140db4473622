"""A lesion's measurements in lines of label and value, as pages show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metasight.report.wording import number

_ATTENUATION = {"part-solid": "part-solid", "ground-glass": "pure ground glass"}
_YES = {True: "yes", False: "no", None: "not known"}


def lesion_lines(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of each measurement that is known.

    Parameters
    ----------
    row
        Measurements by name, as a run writes them; empty where nothing was measured.
    """
    if not row:
        return []
    across = f"{_mm(row['tumour_size_mm'])} × {_mm(row['tumour_perpendicular_mm'])}"
    lines = [
        ("Size", f"{across} mm ({row['tumour_size_plane']})"),
        ("Volume", f"{number(float(row['tumour_volume_mm3']) / 1000, 2)} ml"),
        ("Solid part", f"{_mm(row['solid_size_mm'])} mm"),
        (
            "Consolidation-to-tumour ratio",
            f"{number(float(row['ctr']), 2)} ({number(float(row['ctr_lower']), 2)} to "
            f"{number(float(row['ctr_upper']), 2)})",
        ),
        ("Attenuation", _ATTENUATION.get(row["attenuation"], str(row["attenuation"]))),
        ("Not decided", str(row.get("attenuation_doubts") or "")),
        ("Central", _YES[row.get("central")]),
        ("Lobe", _lobe(row)),
        ("SUVmax", "" if row.get("suvmax") is None else number(float(row["suvmax"]), 1)),
        ("Outline", _outline(row)),
    ]
    return [(label, value) for label, value in lines if value]


def _mm(value: Any) -> str:
    return number(float(value), 1)


def _lobe(row: Mapping[str, Any]) -> str:
    if not row.get("lobe"):
        return ""
    return f"{row['lobe']}{' (unsure)' if row.get('lobe_unsure') else ''}".replace("_", " ")


def _outline(row: Mapping[str, Any]) -> str:
    wrong = row.get("outline_wrong_probability")
    if wrong is None:
        return ""
    flagged = ": look at it" if row.get("outline_flagged") else ""
    return f"probability that it is wrong {number(float(wrong), 2)}{flagged}"

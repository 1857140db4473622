"""Variables that stages on slides and scans supply, by the stage that supplies them.

A protocol asks for one of them by naming it in its dictionary with ``evidence`` set to the stage,
and in a criterion's condition. The stage then finds the criteria with
`metasight.protocol.study.Protocol.criteria_on`, whatever their ids are.
"""

from __future__ import annotations

HE_QUALITY_SUFFICIENT = "he_quality_sufficient"
"""An H&E slide of the patient is good enough."""

SLIDE_ARTEFACTS = "slide_artefacts"
"""A slide of the patient, H&E or marker section, is spoilt."""

MIHC_SECTIONS = "mihc_sections"
"""The sections show every required marker."""

SECTIONS_ALIGNABLE = "sections_alignable"
"""Sections that show every required marker could be aligned to the H&E."""

TUMOUR_AREA_PERCENT = "tumour_area_percent"
"""Tumour's share of the scanned field."""

FROM_SLIDES = frozenset(
    {
        HE_QUALITY_SUFFICIENT,
        SLIDE_ARTEFACTS,
        MIHC_SECTIONS,
        SECTIONS_ALIGNABLE,
        TUMOUR_AREA_PERCENT,
    }
)
"""All that stages on slides supply."""

CT_QUALITY_POOR = "ct_quality_poor"
"""The CT is outside a limit of quality."""

MEASURED_ON_CT = (
    "tumour_size_mm",
    "solid_size_mm",
    "ctr",
    "pure_ground_glass",
    "central",
    "upper_lobe",
    "suvmax",
)
"""What is measured of a lesion on CT and PET."""

SUPPLIED: dict[str, tuple[str, ...]] = {
    "slide quality": (HE_QUALITY_SUFFICIENT, SLIDE_ARTEFACTS),
    "markers": (MIHC_SECTIONS,),
    "alignment gate": (SECTIONS_ALIGNABLE,),
    "tissue maps": (TUMOUR_AREA_PERCENT,),
    "CT quality": (CT_QUALITY_POOR,),
    "CT measurement": MEASURED_ON_CT,
}
"""Stage, as a variable's ``evidence`` names it → the variables that it supplies."""


def problem_of_evidence(variable: str, evidence: str) -> str:
    """Why ``evidence`` can never supply ``variable``; empty where it can.

    A variable whose evidence is the table may be supplied by a stage as well.
    """
    if evidence == "table":
        return ""
    if evidence not in SUPPLIED:
        return f"evidence {evidence!r} is no stage; there are table, {', '.join(SUPPLIED)}"
    if variable not in SUPPLIED[evidence]:
        supplied = ", ".join(SUPPLIED[evidence])
        return f"{evidence} does not supply {variable!r}; it supplies {supplied}"
    return ""

"""Codes of what is measured: SNOMED CT, DICOM and IBSI where they have one, UCUM units.

What has no code gets one of the private scheme ``99METASIGHT``: the study's own name. SCT and DCM
codes are those of DICOM PS3.16 as pydicom's dictionary holds them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from metasight.features.radiomics.definitions import Definition, definitions

OWN_SCHEME: Final = "99METASIGHT"
Scheme = Literal["SCT", "DCM", "IBSI", "UCUM", "99METASIGHT"]
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "IBSI": "urn:oid:1.2.840.10008.2.16.13",
    OWN_SCHEME: "urn:x-metasight:measures",
}
"""Scheme → address of the code system in FHIR (IBSI's is its OID of DICOM PS3.16, table 8-1)."""
_LONGEST_VALUE, _LONGEST_MEANING = 16, 64
"""Characters of DICOM's SH and LO."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """A coded word.

    Attributes
    ----------
    value
        At most 16 characters (DICOM's SH); a unit may be longer.
    scheme
        Whose code it is.
    meaning
        In words, at most 64 characters (DICOM's LO).

    Raises
    ------
    ValueError
        Empty or too long.
    """

    value: str
    scheme: Scheme
    meaning: str

    def __post_init__(self) -> None:
        if not self.value or (self.scheme != "UCUM" and len(self.value) > _LONGEST_VALUE):
            raise ValueError(f"a code has 1 to {_LONGEST_VALUE} characters, not {self.value!r}")
        if not 0 < len(self.meaning) <= _LONGEST_MEANING:
            raise ValueError(f"a meaning has 1 to {_LONGEST_MEANING} characters: {self.meaning!r}")

    @property
    def system(self) -> str:
        """Address of the code system in FHIR."""
        return SYSTEMS[self.scheme]


@dataclass(frozen=True, kw_only=True)
class Coded:
    """How a measure is coded.

    Attributes
    ----------
    concept
        What is measured.
    unit
        UCUM.
    derivation
        Which value of the region it is (maximum, mean, peak); None for a size.
    """

    concept: Code
    unit: Code
    derivation: Code | None = None


def _ucum(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="UCUM", meaning=meaning)


MM, MM2, MM3 = _ucum("mm", "mm"), _ucum("mm2", "mm2"), _ucum("mm3", "mm3")
ML, GRAM = _ucum("ml", "ml"), _ucum("g", "g")
RATIO, NO_UNITS = _ucum("{ratio}", "ratio"), _ucum("1", "no units")
PROBABILITY = NO_UNITS
_PER_MM, _HU = _ucum("/mm", "per mm"), _ucum("[hnsf'U]", "Hounsfield unit")
_HU2 = _ucum("[hnsf'U]2", "squared Hounsfield unit")
_SUV = {
    "SUVbw": ("126401", "SUVbw", "g/ml{SUVbw}"),
    "SUVlbm": ("126402", "SUVlbm", "g/ml{SUVlbm}"),
    "SUVlbmJanma": ("126405", "SUVlbm(Janma)", "g/ml{SUVlbm(Janma)}"),
    "SUVbsa": ("126403", "SUVbsa", "cm2/ml{SUVbsa}"),
}
"""Kind of SUV → code, meaning, UCUM."""


def own(name: str, meaning: str) -> Code:
    """A code of the private scheme: the study's own name, shortened where DICOM's is shorter.

    A shortened one ends in a mark of the whole name, so that two long names stay two codes.
    """
    short = name
    if len(name) > _LONGEST_VALUE:
        mark = hashlib.sha256(name.encode()).hexdigest()[:4]
        short = f"{name[: _LONGEST_VALUE - 5]}_{mark}"
    return Code(value=short, scheme=OWN_SCHEME, meaning=meaning[:_LONGEST_MEANING])


def _sct(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="SCT", meaning=meaning)


def _dcm(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="DCM", meaning=meaning)


_STANDARD = {
    "tumour_size_mm": Coded(concept=_sct("103339001", "Long axis"), unit=MM),
    "tumour_perpendicular_mm": Coded(concept=_sct("131189007", "Perpendicular Axis"), unit=MM),
    "tumour_volume_mm3": Coded(
        concept=Code(value="YEKZ", scheme="IBSI", meaning="Volume from Voxel Summation"), unit=MM3
    ),
}
_DERIVED = {
    "suvmax": _sct("56851009", "Maximum"),
    "suvmean": _sct("373098007", "Mean"),
    "suvpeak": _dcm("126031", "Peak Value Within ROI"),
}
_IN_WORDS = {
    "solid_size_mm": "Longest diameter of the solid part",
    "solid_volume_mm3": "Volume of the solid part",
    "ctr": "Consolidation-to-tumour ratio",
    "ctr_volume": "Consolidation-to-tumour ratio by volume",
    "pleura_gap_mm": "Distance to the pleura",
    "fissure_gap_mm": "Distance to the fissure",
    "bronchi_gap_mm": "Distance to the proximal bronchi",
    "outline_dice_distance": "Dice distance of other outlines",
    "outline_size_apart_mm": "Difference in size of other outlines",
    "outline_volume_factor": "Factor in volume of other outlines",
    "outline_cut_share": "Share of the border through dense tissue",
}
_UNITS_BY_END = (("_mm3", MM3), ("_mm", MM), ("_suv_ml", GRAM), ("_ml", ML))
_NO_UNIT_ENDS = ("_share", "_distance", "_factor", "_limit", "_value")


def coded(name: str, *, suv: str = "") -> Coded:
    """How a measure of a lesion is coded.

    Parameters
    ----------
    name
        As the study's results name it: ``tumour_size_mm``, ``suvmax``.
    suv
        Kind of SUV of a measure of uptake; ``SUVbw`` where it is not given.

    Raises
    ------
    ValueError
        Another kind of SUV than is coded.
    """
    if name in _STANDARD:
        return _STANDARD[name]
    if name in _DERIVED:
        kind = suv or "SUVbw"
        if kind not in _SUV:
            raise ValueError(f"no code for {kind}")
        value, meaning, ucum = _SUV[kind]
        about = _ucum(ucum, f"Standardized uptake value, {kind.removeprefix('SUV')}")
        return Coded(concept=_dcm(value, meaning), unit=about, derivation=_DERIVED[name])
    unit = next((u for end, u in _UNITS_BY_END if name.endswith(end)), None)
    if name.startswith("metabolic_volume"):
        return Coded(concept=_dcm("126032", "Metabolic Volume"), unit=ML)
    if name.startswith("tlg_"):
        return Coded(concept=_dcm("126033", "Total Lesion Glycolysis"), unit=GRAM)
    if unit is None:
        unit = NO_UNITS if name.endswith(_NO_UNIT_ENDS) else RATIO
    return Coded(concept=own(name, _IN_WORDS.get(name, in_words(name))), unit=unit)


def in_words(name: str) -> str:
    """A measure's name as words, its unit left out: ``ctr_at_minus_160_hu`` → CTR at −160 HU."""
    plane = re.fullmatch(r"(axial|coronal|sagittal)_(longest|perpendicular)_mm", name)
    if plane:
        return f"{plane[2].capitalize()} diameter, {plane[1]} plane"
    words = re.sub(r"_(mm3|mm|suv_ml|ml)$", "", name).replace("at_minus_", "at −")
    words = words.replace("_", " ").replace("ctr", "CTR").replace(" hu", " HU")
    return words[:1].upper() + words[1:]


# ------------------------------------------------------------------ radiomics

_MORPHOLOGY_UNITS = {
    **dict.fromkeys(("RNU0", "YEKZ"), MM3),
    "C0JK": MM2,
    "2PR5": _PER_MM,
    **dict.fromkeys(("KLMA", "L0JK", "TDIC", "P9VJ", "7J51"), MM),
    "99N0": _ucum("[hnsf'U].mm3", "Hounsfield unit times mm3"),
}
_DIMENSIONLESS = ("KE2A", "IPH6", "7TET", "9S40")
"""Statistics of intensity without a unit."""


@cache
def _by_key() -> dict[str, Definition]:
    ways: dict[str, Definition] = {}
    for one in definitions():
        for aggregation in one.aggregations or ("",):
            ways[one.key(aggregation)] = one
    return ways


def radiomic(key: str) -> Coded:
    """How a radiomic feature is coded.

    Parameters
    ----------
    key
        As the study's results name it: ``3D:avg:GLCM:joint entropy``, of a shell
        ``shell 0-5 mm:statistics:mean``.

    Raises
    ------
    ValueError
        There is no such feature.
    """
    place, _, rest = key.partition(":") if key.startswith("shell ") else ("", "", key)
    found = _by_key().get(rest)
    if found is None:
        raise ValueError(f"no such feature: {key}")
    meaning = f"{found.family}: {found.name}"
    if place:  # IBSI's features are of the region itself
        return Coded(concept=own(key, f"{place}, {meaning}"), unit=_radiomic_unit(found))
    concept = Code(value=found.code, scheme="IBSI", meaning=meaning[:_LONGEST_MEANING])
    return Coded(concept=concept, unit=_radiomic_unit(found))


def _radiomic_unit(found: Definition) -> Code:
    if found.family == "morphology":
        return _MORPHOLOGY_UNITS.get(found.code, NO_UNITS)
    if found.family == "local intensity":
        return _HU
    if found.family == "statistics":
        if found.code in _DIMENSIONLESS:
            return NO_UNITS
        # variance and energy (5ZWQ is its root) are squares of intensity
        return _HU2 if found.code in {"ECT3", "N8CA"} else _HU
    if found.family == "IVH" and found.code in {"GBPN", "CNV2"}:
        return _HU
    return NO_UNITS

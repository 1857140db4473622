"""All that is measured of one lesion, as one result and one row of plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

from metasight.errors import VolumeError
from metasight.lesions.disagreement import Disagreement
from metasight.lesions.place import DEFINITIONS, Definition, Place, place_of
from metasight.lesions.solidity import SOLID_HU, Solidity, solidity_of
from metasight.lesions.uptake import Uptake, uptake_of
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

Cell = float | str | bool | None

NO_PET = "uptake: no PET given"


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """What a protocol says of measurement.

    Attributes
    ----------
    solid_thresholds_hu
        The first is the one that CTR means.
    central
        The definition of "central" that the study uses; all are measured.
    """

    solid_thresholds_hu: tuple[float, ...] = SOLID_HU
    central: Definition = "hilum_centre_two_thirds"

    def __post_init__(self) -> None:
        if self.central not in DEFINITIONS:
            raise VolumeError(
                'no such definition of "central"',
                where="measurement",
                value=self.central,
                remedy=f"Use one of {', '.join(DEFINITIONS)}",
            )
        first = self.solid_thresholds_hu[:1]
        if not first or not all(-800 <= hu <= 0 for hu in self.solid_thresholds_hu):
            raise VolumeError(
                "thresholds of the solid part must be −800 to 0 HU, at least one",
                where="measurement",
                value=str(self.solid_thresholds_hu),
            )


@dataclass(frozen=True, kw_only=True)
class LesionMeasured:
    """Measurements of a lesion; what was not measured is None and has its reason.

    Attributes
    ----------
    solidity
        Sizes, solid part, CTR, pure ground glass.
    place
        None without lungs.
    uptake
        None without PET.
    central
        By the study's definition; None where that cannot be said.
    definition
        That definition.
    not_measured
        Reasons, a line each.
    disagreement
        Of the outlines from a click or a box; None for a mask that was given.
    """

    solidity: Solidity
    place: Place | None
    uptake: Uptake | None
    central: bool | None
    definition: Definition
    not_measured: tuple[str, ...]
    disagreement: Disagreement | None = None

    def as_row(self) -> dict[str, Cell]:
        """Plain values by name with its unit; None for what is not known."""
        rows = (self._size_row(), self._outline_row(), self._place_row(), self._uptake_row())
        return {name: value for row in rows for name, value in row.items()}

    def with_uptake(self, uptake: Uptake | None) -> LesionMeasured:
        """The same with what a PET gave; None: there is a PET, and it could not be used."""
        why = [line for line in self.not_measured if line != NO_PET]
        if uptake is None:
            why.append("uptake: the PET could not be used")
        return replace(self, uptake=uptake, not_measured=tuple(why))

    def with_disagreement(self, apart: Disagreement | None) -> LesionMeasured:
        """The same as far as other outlines of the lesion bear it out; None: there are none."""
        if apart is None:
            return self
        return replace(self, disagreement=apart, solidity=apart.on(self.solidity))

    def _size_row(self) -> dict[str, Cell]:
        found = self.solidity
        row: dict[str, Cell] = {
            "tumour_size_mm": found.whole.longest_mm,
            "tumour_perpendicular_mm": found.whole.longest.perpendicular_mm,
            "tumour_size_plane": found.whole.longest.plane,
            "tumour_volume_mm3": found.whole.volume_mm3,
            "solid_size_mm": found.main.longest_mm,
            "solid_volume_mm3": found.main.volume_mm3,
            "ctr": found.main.ctr,
            "ctr_volume": found.main.ctr_volume,
            "ctr_lower": found.ctr_lower,
            "ctr_upper": found.ctr_upper,
        }
        for plane, own in found.whole.by_plane.items():
            row[f"{plane}_longest_mm"] = own.longest_mm
            row[f"{plane}_perpendicular_mm"] = own.perpendicular_mm
        for part in found.parts:
            hu = f"at_minus_{-part.threshold_hu:g}_hu"
            row[f"solid_size_{hu}_mm"] = part.longest_mm
            row[f"ctr_{hu}"] = part.ctr
            row[f"ctr_volume_{hu}"] = part.ctr_volume
        answers = {"yes": True, "no": False}
        row["pure_ground_glass"] = answers.get(found.pure_ground_glass)
        row["pure_ground_glass_answer"] = found.pure_ground_glass
        row["attenuation"] = found.attenuation
        row["attenuation_doubts"] = "; ".join(found.doubts)
        return row

    def _outline_row(self) -> dict[str, Cell]:
        found = self.disagreement
        if found is None:
            return {}
        return {
            "outline_dice_distance": found.dice_distance,
            "outline_size_apart_mm": found.size_apart_mm,
            "outline_volume_factor": found.volume_factor,
            "outline_cut_share": found.cut_share,
            "outline_wrong_probability": found.wrong_probability,
            "outline_flagged": found.flagged,
        }

    def _place_row(self) -> dict[str, Cell]:
        place = self.place
        if place is None:
            return {"central": None, "upper_lobe": None}
        row: dict[str, Cell] = {
            "central": self.central,
            "side": place.side,
            "lobe": place.lobe.lobe,
            "lobe_unsure": place.lobe.unsure,
            "upper_lobe": place.lobe.upper_lobe,
            "pleura_gap_mm": _known(place.pleura_gap_mm),
            "fissure_gap_mm": _known(place.lobe.fissure_gap_mm),
            "bronchi_gap_mm": _known(place.bronchi_gap_mm),
            "centre_x_mm": place.centre_mm[0],
            "centre_y_mm": place.centre_mm[1],
            "centre_z_mm": place.centre_mm[2],
        }
        value, limit = place.value_and_limit(self.definition)
        row["central_definition"] = self.definition
        row["central_value"] = _known(value)
        row["central_limit"] = limit
        for name, value in place.ratios.items():
            row[f"{name}_ratio"] = _known(value)
        for definition in DEFINITIONS:
            row[f"central_{definition}"] = place.central(definition)
        return row

    def _uptake_row(self) -> dict[str, Cell]:
        found = self.uptake
        if found is None:
            return {"suvmax": None}
        return {
            "suvmax": found.suvmax,
            "suvpeak": found.suvpeak,
            "suvmean": found.suvmean,
            "suv_unit": found.unit,
            "metabolic_volume_41_ml": found.volume_41_ml,
            "tlg_41_suv_ml": found.tlg_41,
            "metabolic_volume_suv_2_5_ml": found.volume_2_5_ml,
            "tlg_suv_2_5_suv_ml": found.tlg_2_5,
            "metabolic_volume_suv_4_ml": found.volume_4_ml,
            "tlg_suv_4_suv_ml": found.tlg_4,
        }


def measure(
    scan: Volume,
    lesion: Mask,
    *,
    lungs: Lungs | None = None,
    pet: Volume | None = None,
    settings: MeasureSettings | None = None,
) -> LesionMeasured:
    """Measure a lesion: sizes and solid part always, place with lungs, uptake with PET.

    Parameters
    ----------
    scan
        CT in HU.
    lesion, lungs
        On its grid.
    pet
        In SUV, on its own grid.
    settings
        Of the protocol; the default is that of `nsclc-occult-node`.

    Raises
    ------
    VolumeError
        A mask is off the grid, the lesion lies in no lung, or the PET does not cover it.
    """
    asked = settings or MeasureSettings()
    solidity = solidity_of(scan, lesion, thresholds_hu=asked.solid_thresholds_hu)
    place = None if lungs is None else place_of(scan, lesion, lungs)
    why = ("place: no lungs are given",) if place is None else place.not_found
    if pet is None:
        why = (*why, NO_PET)
    return LesionMeasured(
        solidity=solidity,
        place=place,
        uptake=None if pet is None else uptake_of(pet, lesion),
        central=None if place is None else place.central(asked.central),
        definition=asked.central,
        not_measured=why,
    )


def _known(value: float) -> float | None:
    return value if isfinite(value) else None

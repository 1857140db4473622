"""What a tumour's share of the section, with its interval, decides of the criteria on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metasight.estimate import Estimate
from metasight.ledger import Entry, Fate
from metasight.maps.density import DEFAULT_SPACING_UM
from metasight.maps.tumour import TumourArea
from metasight.maps.tumour_on_he import tumour_from_nuclei
from metasight.maps.window import TissueWindow
from metasight.protocol.criteria import CriterionTest
from metasight.protocol.evidence import TUMOUR_AREA_PERCENT
from metasight.protocol.study import SlideProtocol
from metasight.segmentation.slide_nuclei import WORKING_MPP, nuclei_on_slide
from metasight.slides.reader import PyramidReader
from metasight.steps import artefacts
from metasight.steps.slides.sections import Mask, read_looks

TISSUE_MAPS = "tissue maps"
"""Stage of the ledger's rows on the tumour's share."""


@dataclass(frozen=True, kw_only=True)
class JudgedShare:
    """A tumour's share of the section and what criteria make of it.

    Attributes
    ----------
    percent
        Evidence for criteria; None where the interval's ends lead to different verdicts.
    entries
        A ledger row for each criterion on the share, or one where there is none.
    """

    percent: float | None
    entries: tuple[Entry, ...]


def criteria_on_share(protocol: SlideProtocol) -> tuple[CriterionTest | None, ...]:
    """Criteria that ask for the tumour's share; None alone where there is none."""
    return protocol.criteria_on(TUMOUR_AREA_PERCENT) or (None,)


def fate_by_share(criterion: CriterionTest | None, percent: float) -> Fate:
    """What a criterion makes of a tumour area; kept where none asks for it."""
    if criterion is None:
        return Fate.KEPT
    verdict, _ = criterion.evaluate({TUMOUR_AREA_PERCENT: percent})
    return Fate.of(criterion.keeps(verdict))


def judged_share(
    patient: str, item: str, protocol: SlideProtocol, share: Estimate, basis: str
) -> JudgedShare:
    """Decide by the whole interval: where its ends disagree, the share is not known.

    Parameters
    ----------
    patient, item
        Pseudonym and slide, for the ledger.
    protocol
        With the criteria.
    share
        % of the scanned field, with its interval.
    basis
        What it rests on, for the ledger.
    """
    known, entries = True, []
    low, high = share.ends
    for criterion in criteria_on_share(protocol):
        undecided = criterion is not None and criterion.undecided_by(
            TUMOUR_AREA_PERCENT, (low, high)
        )
        known = known and not undecided
        entries.append(
            Entry(
                patient=patient,
                item=item,
                stage=TISSUE_MAPS,
                verdict=Fate.UNKNOWN if undecided else fate_by_share(criterion, share.value),
                criterion=criterion.id if criterion is not None else "",
                value=f"{share.value:.0f} %",
                reason=f"from {basis}, between {low:.0f} and {high:.0f} %",
            )
        )
    return JudgedShare(percent=share.value if known else None, entries=tuple(entries))


def tumour_of_he(slide: PyramidReader, tissue: Mask, tissue_mpp: float, marked: Path) -> TumourArea:
    """Tumour area from the nuclei of an H&E.

    Parameters
    ----------
    slide
        Open.
    tissue, tissue_mpp
        Its tissue mask and µm per pixel.
    marked
        Folder of the step that found its nuclei; they are found here where it has none, or where
        they came from a table that does not tell their sizes.

    Raises
    ------
    MarkerError
        Nuclei cannot be found, or they are too few.
    """
    nuclei = read_looks(artefacts.CELLS.path(marked))
    if nuclei is None:
        mpp = max(WORKING_MPP, slide.mpp)
        nuclei = nuclei_on_slide(slide, tissue, tissue_mpp, mpp=mpp)
    width, height = slide.size_at(slide.mpp)
    window = TissueWindow(mask=tissue, spacing_um=tissue_mpp).resampled(DEFAULT_SPACING_UM)
    # tissue up to the field's border may pass it by a part of the grid's pixel
    field_um2 = max(float(width * height) * slide.mpp**2, window.area_um2)
    return tumour_from_nuclei(nuclei, window, scanned_area_um2=field_um2)

"""DICOM objects that are not de-identified because text may be burnt into what they show.

Nobody finds text in pixels with certainty, so nothing is masked: what may hold text is refused. Of
the objects a study needs, scanners write no text into the pixels; the pictures beside them
(screen captures, dose reports, scanned documents, ultrasound, labels of slides) are made of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from metasight.volumes import vocabulary

_IMAGES = "1.2.840.10008.5.1.4.1.1."
SLIDE = _IMAGES + "77.1.6"
REPORTS = tuple(_IMAGES + "88." + n for n in ("11", "22", "33", "34", "35", "67", "68", "59"))
_ACCEPTED = {
    *(_IMAGES + n for n in ("2", "2.1", "2.2", "4", "4.1", "128", "130", "20")),
    *(_IMAGES + n for n in ("481.2", "481.3", "66.4", "66.7", "30", "66.1", "66.3")),
    SLIDE,
    *REPORTS,
}
"""CT, MR, PET, nuclear medicine, dose, structure set, segmentation, parametric map, registration,
whole-slide image, structured report."""
_SCREENS = frozenset(("SCREEN SAVE", "SCREENSHOT", "SCREEN CAPTURE", "DOSE_INFO", "CT_SOM5 PROT"))
_CONVERTED = frozenset(("DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"))
_BESIDE_THE_SLIDE = frozenset(("LABEL", "OVERVIEW", "LOCALIZER"))


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why an object is left out.

    Attributes
    ----------
    reason
        In words; nothing of the file is quoted.
    on_purpose
        Whether leaving it out is what was asked for (label and overview of a slide), so that
        nothing is to be done about it.
    """

    reason: str
    on_purpose: bool = False


def refusal_of(data: Dataset) -> Refusal | None:
    """Why an object cannot be de-identified, or None.

    Parameters
    ----------
    data
        As read, with or without its pixels.
    """
    kinds = {str(t).upper() for t in _many(data.get("ImageType"))}
    modality = str(data.get("Modality") or "")
    if str(data.get("SOPClassUID") or "") == SLIDE and kinds & _BESIDE_THE_SLIDE:
        return Refusal(reason="label or overview of a slide", on_purpose=True)
    if str(data.get("SOPClassUID") or "") not in _ACCEPTED:
        return Refusal(
            reason=f"a kind of object that is not de-identified (modality "
            f"{vocabulary.modality(modality)}): text may stand in what it shows"
        )
    if str(data.get("BurnedInAnnotation") or "").upper() == "YES":
        return Refusal(reason="BurnedInAnnotation is YES: text stands in the pixels")
    if str(data.get("RecognizableVisualFeatures") or "").upper() == "YES":
        return Refusal(reason="RecognizableVisualFeatures is YES: the patient may be recognised")
    if str(data.get("SpecimenLabelInImage") or "").upper() == "YES":
        return Refusal(reason="SpecimenLabelInImage is YES: the label stands in the pixels")
    if modality in {"SC", "OT", "US", "DOC", "XC", "ES"}:
        return Refusal(reason=f"modality {modality}: text is likely to stand in the pixels")
    if kinds & _SCREENS or str(data.get("ConversionType") or "") in _CONVERTED:
        return Refusal(reason="a screen capture or a scanned picture: text stands in the pixels")
    if modality in {"CT", "MR", "PT", "NM"} and int(data.get("SamplesPerPixel") or 1) > 1:
        return Refusal(reason="a scan in colour is a capture: text is likely to stand in it")
    if _has_hidden_overlay(data):
        return Refusal(reason="an overlay is drawn into unused bits of the pixels")
    return None


def _has_hidden_overlay(data: Dataset) -> bool:
    """Overlays of before 2004 lie in the pixels' upper bits."""
    return any(
        e.tag.group & 0xFF00 == 0x6000 and e.tag.element == 0x0102 and int(e.value or 0) > 0
        for e in data
        if not e.tag.is_private
    )


def _many(value: object) -> list[object]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]

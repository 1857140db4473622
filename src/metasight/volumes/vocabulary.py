"""Texts of a file that a message or the ledger may repeat: the field's own words, and no others.

Names of regions, kernels, modalities and codes are free text in practice: a planning system writes
a patient's name into a region, a damaged length byte pulls name and date of birth into any element.
What is not a word of the lists below is never shown; regions and files are told by number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


NOT_SHOWN = "text of the file, not shown"

_MODALITIES = _listed(
    "AR ASMT AU BI BMD CR CT CTPROTOCOL DG DOC DX ECG EPS ES FID GM HC HD IO IVOCT IVUS KO LS M3D "
    "MG MR NM OCT OP OPT OT PLAN PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD "
    "RTRECORD RTSEGANN RTSTRUCT RWV SC SEG SM SMR SR STAIN TEXTUREMAP US VA XA XC"
)
_KERNEL = re.compile(
    # Siemens (B30f, Br40d, I31f\3), Canon (FC51), Philips (A, YB, IMR1), GE's words
    r"(?:[BIHUJTDQ][A-Za-z]?\d{2,3}[a-z]{0,2}|FC\d{2,3}|[A-FLSUY][A-D]?|IMR\d|"
    r"STANDARD|SOFT|CHST|STND|SMOOTH|DETAIL|LUNG|BONE|BONEPLUS|EDGE|ULTRA|HD ?LUNG|HD STND)"
    r"(?:[/\\]\d{1,2})?",
)
_REGION_WORDS = _listed(
    "gtv ctv ptv itv igtv gtvp gtvn ptvp ctvp tumor tumour lesion nodule mass primary node lymph "
    "lung lungs left right lt rt l r heart cord spinal spine esophagus oesophagus trachea bronchus "
    "bronchi aorta liver body external skin airway airways lobe upper middle lower segment roi "
    "mask p n t background total whole solid ground glass neoplasm"
)
_CODES = _listed(
    # contour types, PS3.3 C.8.8.6
    "POINT OPEN_PLANAR OPEN_NONPLANAR CLOSED_PLANAR CLOSEDPLANAR_XOR INTERPOLATED_PLANAR "
    # segmentation types, PS3.3 C.8.20.2
    "BINARY FRACTIONAL LABELMAP "
    # PET: units, decay correction, corrections, SUV types, PS3.3 C.8.9.1
    "CNTS NONE CM2 CM2ML PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS PROPCPS "
    "MLMINML MLML GML STDDEV START ADMIN DECY ATTN SCAT DTIM MOTN PMOT CLN RAN RADL DCAL NORM "
    "BSA BW LBM LBMJAMES128 LBMJANMA IBW M F O"
)
_ENCODING = re.compile(r"1\.2\.840\.10008(?:\.\d{1,4}){1,7}")


def modality(text: str) -> str:
    """A DICOM modality (PS3.3 C.7.3.1.1.1), "not said" or "not shown"."""
    return _word(text, text in _MODALITIES)


def kernel(text: str) -> str:
    """A convolution kernel as vendors name them."""
    return _word(text, _KERNEL.fullmatch(text) is not None)


def code(text: str) -> str:
    """A defined term of contours, segmentations or PET."""
    return _word(text, text in _CODES)


def codes(texts: Iterable[str]) -> str:
    """Several of them, in order of the alphabet, each once."""
    return ", ".join(sorted({code(t) for t in texts})) or "not said"


def encoding(text: str) -> str:
    """A transfer syntax, a UID of the standard's own root: no institution issued it."""
    return _word(text, _ENCODING.fullmatch(text) is not None)


def region(text: str) -> str:
    """Name of a region made of words for tumours and organs and of numbers below 100; else empty.

    ``GTV-1``, ``Lung_Left`` and ``Tumour 2`` are; a name, a date and a hospital number are not.
    """
    words = re.findall(r"[^\W\d_]+|\d+", text)
    plain = re.fullmatch(r"[A-Za-z0-9 _.+-]{1,32}", text) is not None
    known = all(len(w) < 3 if w.isdigit() else w.casefold() in _REGION_WORDS for w in words)
    named = any(not w.isdigit() for w in words)
    return text if plain and known and named and sum(w.isdigit() for w in words) < 3 else ""


def _word(text: str, known: bool) -> str:
    if not text:
        return "not said"
    return text if known else NOT_SHOWN

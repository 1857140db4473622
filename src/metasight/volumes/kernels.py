"""Convolution kernels by their vendors' names: smooth, sharp, or not known to us.

Sharp kernels (made for lung or bone) raise noise and edges; solidity, diameters and radiomics
differ between the two. The lists group the names by what their vendors make them for; a name that
is on neither list is unknown, never guessed.
"""

from __future__ import annotations

import re
from typing import Literal

Sharpness = Literal["smooth", "sharp", "unknown"]

_GE_SMOOTH = {"STANDARD", "SOFT", "CHST", "STND", "SMOOTH", "DETAIL"}
_GE_SHARP = {"LUNG", "BONE", "BONEPLUS", "EDGE", "ULTRA", "HD LUNG", "HDLUNG", "HD STND"}
_PHILIPS_SMOOTH = {"A", "B", "C", "UA", "UB", "SA", "SB", "IMR1", "FA", "FB", "SC"}
_PHILIPS_SHARP = {"D", "E", "L", "YA", "YB", "YC", "YD", "F"}
_SIEMENS = re.compile(r"^(?:[BIHUJTD][A-Z]?)(\d{2,3})(?:[A-Z]\w*)?$")
_CANON = re.compile(r"^FC(\d{2,3})")
# Siemens numbers kernels by sharpness, 10 to 99; its lung kernels begin at B50f, Br54, Bl57.
_SIEMENS_SHARP = 50
# Canon: FC01–FC19 body, FC20–FC29 head, FC30–FC39 bone, FC50–FC59 lung, FC80–FC89 high resolution
_CANON_SHARP = (range(30, 40), range(50, 60), range(80, 90))


def sharpness(kernel: str, manufacturer: str) -> Sharpness:
    r"""Whether a kernel is smooth (soft tissue) or sharp (lung, bone).

    Parameters
    ----------
    kernel
        As the header spells it: ``B30f``, ``STANDARD``, ``FC51``, ``D``, ``Br40d\3``.
    manufacturer
        As the header spells it.
    """
    name = re.split(r"[/\\,]", kernel)[0].strip().upper()
    maker = manufacturer.upper()
    if not name:
        return "unknown"
    if "GE" in maker.split() or maker.startswith("GE"):
        return _listed(name, _GE_SMOOTH, _GE_SHARP)
    if "PHILIPS" in maker:
        return _listed(name, _PHILIPS_SMOOTH, _PHILIPS_SHARP)
    if "SIEMENS" in maker:
        found = _SIEMENS.match(name)
        if found is None:
            return "unknown"
        return "sharp" if int(found[1][:2]) >= _SIEMENS_SHARP else "smooth"
    if "TOSHIBA" in maker or "CANON" in maker:
        found = _CANON.match(name)
        if found is None:
            return "unknown"
        return "sharp" if any(int(found[1]) in r for r in _CANON_SHARP) else "smooth"
    return "unknown"


def _listed(name: str, smooth: set[str], sharp: set[str]) -> Sharpness:
    if name in sharp:
        return "sharp"
    return "smooth" if name in smooth else "unknown"

"""Whether a patient was measured as the training patients were; what was not is refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from metasight.bundle.content import Acquired

MOST_BEYOND = 1.25
"""Factor by which a spacing may lie beyond those of training: the coarsest slices were 1.0 mm,
1.25 mm are read, 1.5 mm are not."""


def acquired_of(patients: Iterable[Mapping[str, Any]]) -> Acquired:
    """How some patients' images were acquired, from what the cohort step tells of each.

    Parameters
    ----------
    patients
        ``ct``: kernel and distance of slices in mm, if any; ``slides``: stain and µm a pixel.
    """
    told = list(patients)
    scans = [p["ct"] for p in told if p.get("ct")]
    slides = [s for p in told for s in p.get("slides", ())]
    distances = [float(c["slice_mm"]) for c in scans if c.get("slice_mm") is not None]
    stains = sorted({str(s["stain"]) for s in slides})
    return Acquired(
        ct_kernels=tuple(sorted({str(c["kernel"]) for c in scans})),
        ct_slice_mm=(min(distances), max(distances)) if distances else None,
        slide_mpp={
            stain: _range(float(s["mpp"]) for s in slides if s["stain"] == stain)
            for stain in stains
        },
    )


def _range(values: Iterable[float]) -> tuple[float, float]:
    known = list(values)
    return min(known), max(known)


def differences(
    training: Acquired, patient: Mapping[str, Any], *, scans: bool, slides: bool
) -> tuple[str, ...]:
    """What of a patient was measured otherwise than in training, in words.

    Parameters
    ----------
    training
        Of the bundle.
    patient
        As in :func:`acquired_of`.
    scans, slides
        Whether the model reads anything that is measured on them.
    """
    found: list[str] = []
    ct = patient.get("ct")
    if scans and ct:
        if ct["kernel"] not in training.ct_kernels:
            found.append(
                f"the CT's kernel is {ct['kernel']}, those of training are "
                f"{' or '.join(training.ct_kernels)}"
            )
        found += _beyond(
            "the CT's slices are", ct.get("slice_mm"), training.ct_slice_mm, "mm apart"
        )
    if slides:
        for slide in patient.get("slides", ()):
            stain = str(slide["stain"])
            if stain not in training.slide_mpp:
                found.append(
                    f"a slide is stained by {stain}, those of training by "
                    f"{' or '.join(training.slide_mpp)}"
                )
            else:
                known = training.slide_mpp[stain]
                found += _beyond(f"the {stain} slide has", slide["mpp"], known, "µm a pixel")
    return tuple(dict.fromkeys(found))


def _beyond(
    what: str, value: float | None, known: tuple[float, float] | None, unit: str
) -> Iterable[str]:
    if value is None or known is None:
        return
    low, high = known[0] / MOST_BEYOND, known[1] * MOST_BEYOND
    if not low - 1e-9 <= value <= high + 1e-9:
        ends = f"{known[0]:.3g}" if known[0] == known[1] else f"{known[0]:.3g} to {known[1]:.3g}"
        yield f"{what} {value:.3g} {unit}, those of training {ends}"

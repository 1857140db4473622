"""Texture of one patient's lesion and of the tissue round it, with the error of drawing it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from metasight.cohort.settings import JitterSettings
from metasight.errors import VolumeError
from metasight.features.columns import ERROR
from metasight.features.radiomics.extract import extract
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.features.radiomics.shells import shells
from metasight.features.radiomics.stability import jittered
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

_OF_FORM = ("morphology", "local intensity")


def texture_of(
    ct: Volume,
    lesion: Mask,
    lungs: Lungs | None,
    asked: RadiomicsSettings,
    *,
    shell_edges_mm: tuple[float, ...] = (),
    jitter: JitterSettings | None = None,
    name: str = "",
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Features by name, and what could not be measured.

    Parameters
    ----------
    lungs
        Shells keep to lung tissue; without lungs there are none.
    shell_edges_mm
        Rising distances from the lesion's surface; each pair is a shell.
    jitter
        How far another reader's boundary may lie. The error of a feature is the root mean square
        of what such boundaries change.
    name
        Of the patient, from which each one's jitter is drawn.

    Raises
    ------
    VolumeError
        The lesion itself cannot be measured.
    """
    values = extract(ct, lesion, asked)
    failed: list[str] = []
    if shell_edges_mm:
        if lungs is None:
            failed.append("shells: no lung was found")
        else:
            found, told = _shells(ct, lesion, lungs, asked, shell_edges_mm)
            values |= found
            failed += told
    if jitter is not None:
        errors, told = _errors(ct, values, _jittered(lesion, jitter, name), asked)
        values |= errors
        failed += told
    return values, tuple(failed)


def _shells(
    ct: Volume, lesion: Mask, lungs: Lungs, asked: RadiomicsSettings, edges: tuple[float, ...]
) -> tuple[dict[str, float], list[str]]:
    # Form and peaks of a shell say nothing that those of the lesion do not.
    families = tuple(f for f in asked.families if f not in _OF_FORM)
    own = replace(asked, families=families)
    # Airways and vessels in the lung are part of what surrounds a lesion; the chest wall is not.
    within = Mask.from_array(lungs.right_whole.array | lungs.left_whole.array, on=lesion)
    values: dict[str, float] = {}
    failed = []
    for shell in shells(lesion, edges_mm=edges, within=within):
        label = f"shell {shell.inner_mm:g}-{shell.outer_mm:g} mm"
        if shell.mask is None:
            failed.append(f"{label}: no lung tissue there")
            continue
        try:
            found = extract(ct, shell.mask, own)
        except VolumeError as error:
            failed.append(f"{label}: {error}")
            continue
        values |= {f"{label}:{feature}": v for feature, v in found.items()}
    return values, failed


def _errors(
    ct: Volume, values: dict[str, float], others: Iterator[Mask], asked: RadiomicsSettings
) -> tuple[dict[str, float], list[str]]:
    """Root mean square change of the lesion's features over other boundaries."""
    apart: dict[str, list[float]] = {}
    try:
        for other in others:
            for feature, value in extract(ct, other, asked).items():
                if np.isfinite(value) and np.isfinite(values[feature]):
                    apart.setdefault(feature, []).append(value - values[feature])
    except VolumeError as error:
        return {}, [f"error of texture: {error}"]
    return {
        f"{feature}{ERROR}": float(np.sqrt(np.mean(np.square(differences))))
        for feature, differences in apart.items()
    }, []


def _jittered(lesion: Mask, jitter: JitterSettings, name: str) -> Iterator[Mask]:
    """Other readers' boundaries, drawn for this patient."""
    for number in range(jitter.replicates):
        digest = hashlib.sha256(f"{jitter.seed}\x1f{name}\x1f{number}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        yield jittered(lesion, sd_mm=jitter.sd_mm, correlation_mm=jitter.correlation_mm, seed=seed)

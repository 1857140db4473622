"""How far a feature survives another reader's contour: seeded jitter of the mask, and its ICC.

Readers differ along the boundary, smoothly and by a millimetre or two. The jitter moves the
boundary by a smooth random field of a stated SD; a feature that changes more over such contours
than over patients cannot carry a model (Zwanenburg et al., Sci Rep 2019;9:614, for the idea).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.features.radiomics.boundary import around, signed_distance
from metasight.features.radiomics.extract import extract
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.volumes.volume import Mask, Volume

Floats = npt.NDArray[np.float64]
_WHERE = "segmentation jitter"
_FEWEST_PATIENTS = 3


def jittered(mask: Mask, *, sd_mm: float, correlation_mm: float, seed: int) -> Mask:
    """Another reader's mask: the boundary moved by a smooth random field.

    Parameters
    ----------
    mask
        The region as drawn.
    sd_mm
        SD of the boundary's displacement along its normal, mm. Narrow clefts between lobes are
        filled more readily than cut, so a jagged region grows a little on average.
    correlation_mm
        SD of the Gaussian that smooths white noise into the field: displacements further apart
        than twice this are nearly independent.
    seed
        Same seed, same mask.

    Raises
    ------
    VolumeError
        An SD or a length that is not above 0, or nothing of the region is left.
    """
    if not (0 < sd_mm < float("inf") and 0 < correlation_mm < float("inf")):
        raise VolumeError(
            "sd_mm and correlation_mm must be above 0",
            where=_WHERE,
            value=f"{sd_mm}, {correlation_mm}",
        )
    inside = mask.array
    spacing = mask.spacing_zyx_mm
    place = around(inside, 5 * sd_mm, spacing)
    part = inside[place]
    field = _field(part.shape, correlation_mm / np.array(spacing), np.random.default_rng(seed))
    moved = signed_distance(part, spacing) <= sd_mm * field
    # specks beside the boundary: no reader draws them
    parts, _ = ndimage.label(moved, structure=np.ones((3, 3, 3)))
    moved &= np.isin(parts, np.unique(parts[part & moved]))
    if not moved.any():
        raise VolumeError(
            "nothing of the region is left",
            where=_WHERE,
            value=f"{mask.n_voxels} voxels, SD {sd_mm:g} mm",
            remedy="The region is too small for this jitter",
        )
    whole = np.zeros(inside.shape, dtype=np.bool_)
    whole[place] = moved
    return Mask.from_array(whole, on=mask, name=mask.name)


def _field(shape: tuple[int, ...], width: Floats, rng: np.random.Generator) -> Floats:
    """Smooth Gaussian noise of mean 0 and SD 1 over its ensemble, not over this one sample."""
    margin = np.ceil(4 * width).astype(int)
    noise = rng.standard_normal([s + 2 * int(m) for s, m in zip(shape, margin, strict=True)])
    smooth = ndimage.gaussian_filter(noise, width, mode="wrap")
    # SD of white noise after the filter: the root of the sum of its squared weights
    gain = 1.0
    for w in width:
        reach = int(4 * w + 0.5)
        weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / w) ** 2)
        gain *= float(np.sqrt((weight**2).sum()) / weight.sum())
    cut = tuple(slice(int(m), int(m) + s) for s, m in zip(shape, margin, strict=True))
    return np.asarray(smooth[cut] / gain, dtype=np.float64)


def icc(values: npt.ArrayLike) -> tuple[float, float]:
    """ICC(A,1) and ICC(C,1): agreement and consistency of single measurements, two-way model.

    McGraw and Wong, Psychological Methods 1996;1:30.

    Parameters
    ----------
    values
        Shape (patients, measurements), finite, at least three patients and two measurements.

    Returns
    -------
    tuple
        Both NaN where all values are equal.

    Raises
    ------
    VolumeError
        Too few patients or measurements, or a value that is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] < _FEWEST_PATIENTS or x.shape[1] < 2 or not np.isfinite(x).all():
        raise VolumeError(
            "an ICC needs three patients with two finite measurements",
            where="stability",
            value=f"shape {x.shape}",
        )
    n, k = x.shape
    x = x - x.mean()
    rows, columns = x.mean(axis=1), x.mean(axis=0)
    between = k * float((rows**2).sum()) / (n - 1)
    across = n * float((columns**2).sum()) / (k - 1)
    rest = x - rows[:, None] - columns[None, :]
    error = float((rest**2).sum()) / ((n - 1) * (k - 1))
    spread = between + (k - 1) * error
    if spread <= 0:
        return float("nan"), float("nan")
    agreement = (between - error) / (spread + k / n * (across - error))
    return agreement, (between - error) / spread


def stability(
    cases: Sequence[tuple[Volume, Mask]],
    settings: RadiomicsSettings,
    *,
    sd_mm: float,
    correlation_mm: float,
    replicates: int,
    seed: int,
) -> pd.DataFrame:
    """ICC of every feature over patients, between the mask as drawn and jittered ones.

    Parameters
    ----------
    cases
        Scan and mask of each patient, at least three.
    settings
        Of the features.
    sd_mm, correlation_mm
        As :func:`jittered`.
    replicates
        Jittered masks a patient, at least 1.
    seed
        Of the whole; each patient and replicate has its own.

    Returns
    -------
    DataFrame
        Index: feature; columns ``icc_agreement``, ``icc_consistency`` (NaN with fewer than three
        patients) and ``n`` patients with a value for every mask.

    Raises
    ------
    VolumeError
        Fewer than three patients or no replicate, and as :func:`jittered` and
        :func:`~metasight.features.radiomics.extract.extract`.
    """
    if len(cases) < _FEWEST_PATIENTS or replicates < 1:
        raise VolumeError(
            "stability needs three patients and one replicate",
            where="stability",
            value=f"{len(cases)} patients, {replicates} replicates",
        )
    seeds = np.random.SeedSequence(seed).generate_state(len(cases) * replicates)
    table: list[list[dict[str, float]]] = []
    for i, (volume, mask) in enumerate(cases):
        own = seeds[i * replicates : (i + 1) * replicates]
        masks = [mask] + [
            jittered(mask, sd_mm=sd_mm, correlation_mm=correlation_mm, seed=int(s)) for s in own
        ]
        table.append([extract(volume, m, settings) for m in masks])
    rows = {}
    for name in table[0][0]:
        values = np.array([[one[name] for one in patient] for patient in table])
        whole = values[np.isfinite(values).all(axis=1)]
        enough = len(whole) >= _FEWEST_PATIENTS
        agreement, consistency = icc(whole) if enough else (float("nan"), float("nan"))
        rows[name] = (agreement, consistency, len(whole))
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["icc_agreement", "icc_consistency", "n"]
    )

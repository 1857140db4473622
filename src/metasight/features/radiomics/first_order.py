"""Features of intensities without regard to place: statistics, histogram, intensity–volume."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.features.radiomics.settings import RadiomicsSettings

Floats = npt.NDArray[np.float64]


def statistics(values: Floats) -> dict[str, float]:
    """Intensity-based statistics (UHIW) of the values inside, shape (n,), n ≥ 1.

    Skewness, kurtosis and the two relative dispersions are NaN where their denominator is 0.
    Variance divides by n; percentiles interpolate linearly between order statistics.
    """
    found = _moments(values)
    return found | {
        "energy": float((values**2).sum()),
        "root mean square": float(np.sqrt((values**2).mean())),
    }


def histogram(levels: npt.NDArray[np.int32], n_levels: int) -> dict[str, float]:
    """Intensity histogram features (ZVCW) of the grey levels inside, shape (n,), 1 to n_levels.

    The gradient is the central difference of counts, one-sided at the ends; with one level there
    is none. Several modes or steepest places: the mode is the one nearest to the mean, the place
    the lowest.
    """
    values = levels.astype(np.float64)
    found = _moments(values)
    counts = np.bincount(levels, minlength=n_levels + 1)[1:].astype(np.float64)
    share = counts[counts > 0] / counts.sum()
    modes = np.flatnonzero(counts == counts.max()) + 1
    found["mode"] = float(modes[np.argmin(np.abs(modes - found["mean"]))])
    found["entropy"] = float(-(share * np.log2(share)).sum()) + 0.0
    found["uniformity"] = float((share**2).sum())
    slope = np.gradient(counts) if n_levels > 1 else np.full(1, np.nan)
    for side, at in (("maximum", np.argmax(slope)), ("minimum", np.argmin(slope))):
        found[f"{side} gradient"] = float(slope[at])
        found[f"{side} gradient grey level"] = float(at + 1) if n_levels > 1 else float("nan")
    return found


def intensity_volume(values: Floats, settings: RadiomicsSettings) -> dict[str, float]:
    """Intensity–volume histogram features (P88C).

    ν(i) is the share of voxels at intensity i or above; γ(i) the place of i in the range, 0 to 1.
    The range is ``intensity_range``, the region's own at an end that it leaves open; with
    ``ivh_bin_size`` intensities are bin centres.
    """
    low, high = settings.intensity_range or (-np.inf, np.inf)
    low = low if np.isfinite(low) else float(values.min())
    high = high if np.isfinite(high) else float(values.max())
    width = settings.ivh_bin_size
    step = width or settings.ivh_step or 0.0  # the settings have one of them
    if width is not None:
        values = low + (np.floor((values - low) / width) + 0.5) * width
        low, high = low + 0.5 * width, high - 0.5 * width
    n_steps = max(round((high - low) / step), 0)
    axis = low + step * np.arange(n_steps + 1)
    ordered = np.sort(values)
    volume = 1.0 - np.searchsorted(ordered, axis, side="left") / len(values)
    place = np.linspace(0.0, 1.0, n_steps + 1) if n_steps else np.zeros(1)

    def volume_at(share: float) -> float:
        return float(volume[np.argmax(place >= share - 1e-12)]) if n_steps else float("nan")

    def intensity_at(share: float) -> float:
        below = np.flatnonzero(volume <= share)
        # beyond the last step no voxel is left: IBSI takes the next one
        return float(axis[below[0]]) if len(below) else float(axis[-1] + step)

    v10, v90 = volume_at(0.1), volume_at(0.9)
    i10, i90 = intensity_at(0.1), intensity_at(0.9)
    return {
        "volume fraction at 10 % intensity": v10,
        "volume fraction at 90 % intensity": v90,
        "intensity at 10 % volume": i10,
        "intensity at 90 % volume": i90,
        "volume fraction difference between 10 and 90 % intensity": v10 - v90,
        "intensity difference between 10 and 90 % volume": i10 - i90,
    }


def _moments(values: Floats) -> dict[str, float]:
    mean = float(values.mean())
    away = values - mean
    variance = float((away**2).mean())
    p10, p25, median, p75, p90 = (float(q) for q in np.percentile(values, (10, 25, 50, 75, 90)))
    low, high = float(values.min()), float(values.max())
    middle = values[(values >= p10) & (values <= p90)]
    # of two values neither lies between the interpolated percentiles
    robust = float(np.abs(middle - middle.mean()).mean()) if len(middle) else float("nan")
    flat = low == high
    return {
        "mean": mean,
        "variance": 0.0 if flat else variance,
        "skewness": _ratio(float((away**3).mean()), 0.0 if flat else variance**1.5),
        "excess kurtosis": _ratio(float((away**4).mean()), 0.0 if flat else variance**2) - 3.0,
        "median": median,
        "minimum": low,
        "10th percentile": p10,
        "90th percentile": p90,
        "maximum": high,
        "interquartile range": p75 - p25,
        "range": high - low,
        "mean absolute deviation": float(np.abs(away).mean()),
        "robust mean absolute deviation": robust,
        "median absolute deviation": float(np.abs(values - median).mean()),
        "coefficient of variation": _ratio(0.0 if flat else variance**0.5, mean),
        "quartile coefficient of dispersion": _ratio(p75 - p25, p75 + p25),
    }


def _ratio(upper: float, lower: float) -> float:
    return upper / lower if lower != 0 else float("nan")

"""How well painted maps agree with held-out sections, beside what no or any map would reach.

Every figure stands beside its baselines: regions shuffled within the slide, another patient's
slide, the density of nuclei alone, and the ceiling that counting noise and misregistration leave
to a perfect map. Regions of one patient are alike, so intervals resample patients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from metasight.errors import MarkerError
from metasight.estimate import Estimate
from metasight.maps.cells import Cells
from metasight.maps.density import DensityMap
from metasight.maps.regions import Regions

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Measure = Callable[[Floats, Floats], float]

NORMAL_P95 = 1.6448536
_SHUFFLES = 20


def pearson_of_regions(generated: Floats, measured: Floats) -> float | None:
    """Pearson of region densities of one patient; None for two regions or a flat map."""
    if len(generated) <= 2 or not (generated.std(ddof=1) > 0 and measured.std(ddof=1) > 0):
        return None
    return float(np.corrcoef(generated, measured)[0, 1])


def spread_over(scores: Mapping[str, float], n: int) -> list[str]:
    """At most ``n`` names evenly spread over the ranking, the lowest and the highest included."""
    ranked = [name for _, name in sorted((score, name) for name, score in scores.items())]
    if not ranked:
        return []
    places = np.unique(np.linspace(0, len(ranked) - 1, n).round().astype(int))
    return [ranked[int(k)] for k in places]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One marker at one size of region, over all patients.

    Attributes
    ----------
    marker, region_um
        What was compared.
    patients, regions
        How many.
    pearson, spearman, concordance
        Of region densities, with 95 % intervals over patients; concordance is Lin's (Biometrics
        1989;45:255).
    slope, intercept
        Of measured on generated density: 1 and 0 where a painted density means what it says;
        intercept in cells/mm².
    f1, threshold_per_mm2
        Of regions at or above the threshold.
    f1_all_positive, prevalence
        F1 of calling every region positive, and the share that is.
    covered
        Share of measured densities within 1.645 standard errors of the generated ones: what the
        90 % interval really covers.
    pearson_shuffled
        With regions shuffled within their slide: what mean densities of slides alone reach.
    pearson_swapped
        With regions drawn from other patients' slides; NaN with one patient.
    pearson_nuclei
        Of the density of nuclei (haematoxylin) with the measured one; NaN where not given.
    ceiling
        Estimated Pearson of a perfect map with this measurement: counting noise and the alignment's
        predicted error taken off. What changes from section to section is not in it: it is an
        upper bound.
    """

    marker: str
    region_um: float
    patients: int
    regions: int
    pearson: Estimate
    spearman: Estimate
    concordance: Estimate
    slope: Estimate
    intercept: Estimate
    f1: Estimate
    threshold_per_mm2: float
    f1_all_positive: float
    prevalence: float
    covered: Estimate
    pearson_shuffled: float
    pearson_swapped: float
    pearson_nuclei: float
    ceiling: float

    @property
    def of_ceiling(self) -> float:
        """Pearson as a share of the ceiling."""
        return self.pearson.value / self.ceiling


def agree(
    marker: str,
    slides: Sequence[Regions],
    *,
    threshold_per_mm2: float,
    seed: int,
    resamples: int = 500,
) -> Agreement:
    """Compare painted with measured regions of held-out patients.

    Parameters
    ----------
    marker
        Its name.
    slides
        One or more a patient, all of one size of region.
    threshold_per_mm2
        Density from which a region counts as positive.
    seed
        Of shuffles and resamples.
    resamples
        Of the patients.

    Raises
    ------
    MarkerError
        There are no regions, or of different sizes.
    """
    told = [s for s in slides if len(s)]
    if not told or len({s.region_um for s in told}) > 1:
        raise MarkerError("there are no regions of one size to compare", where=marker)
    rng = np.random.default_rng(seed)
    x, y = _joined(told, "generated"), _joined(told, "measured")
    error, nuclei = _joined(told, "error"), _joined(told, "baseline")
    patient = np.repeat([s.patient for s in told], [len(s) for s in told])

    def estimate(measure: Measure, second: Floats = y) -> Estimate:
        return _estimate(measure, x, second, patient, (rng, resamples))

    positive = y >= threshold_per_mm2
    prevalence = float(positive.mean())
    within = (np.abs(y - x) <= NORMAL_P95 * error).astype(np.float64)
    return Agreement(
        marker=marker,
        region_um=told[0].region_um,
        patients=len(set(patient.tolist())),
        regions=len(x),
        pearson=estimate(pearson),
        spearman=estimate(spearman),
        concordance=estimate(concordance),
        slope=estimate(slope),
        intercept=estimate(intercept),
        f1=estimate(lambda a, b: f1(a >= threshold_per_mm2, b >= threshold_per_mm2)),
        threshold_per_mm2=threshold_per_mm2,
        prevalence=prevalence,
        f1_all_positive=2 * prevalence / (1 + prevalence),
        covered=estimate(lambda _, b: float(b.mean()), within),
        pearson_shuffled=_shuffled(told, rng),
        pearson_swapped=_swapped(told, rng),
        pearson_nuclei=pearson(nuclei, y) if np.isfinite(nuclei).all() else float("nan"),
        ceiling=ceiling(told),
    )


def ceiling(slides: Sequence[Regions]) -> float:
    """Pearson that a perfect map of the H&E's own section would reach with this measurement.

    Its covariance with the measurement is that of the density with itself displaced as the
    predicted alignment error says; its own variance is the measured one less counting noise.
    Means differ between slides, and that difference neither noise nor displacement changes.

    Returns
    -------
    Above 0, at most 1; NaN where the measured densities vary no more than counting noise.
    """
    n = np.array([len(s) for s in slides], dtype=np.float64)
    weight = n / n.sum()
    mean = np.array([s.measured.mean() for s in slides])
    between = float(np.sum(weight * (mean - np.sum(weight * mean)) ** 2))
    within = float(np.sum(weight * [s.measured.var() for s in slides]))
    noise = float(np.sum(weight * [s.noise_variance for s in slides]))
    # a slide too small to tell is taken to lose nothing by displacement
    displaced = float(
        np.sum(
            weight
            * [
                s.displaced_covariance
                if np.isfinite(s.displaced_covariance)
                else s.measured.var() - s.noise_variance
                for s in slides
            ]
        )
    )
    own, seen = between + within - noise, between + within
    if not (own > 0 and displaced + between > 0):
        return float("nan")
    return min(1.0, (between + displaced) / float(np.sqrt(own * seen)))


# ------------------------------------------------------------------ measures


def pearson(x: Floats, y: Floats) -> float:
    """Pearson's correlation; NaN where either is constant."""
    if len(x) < 2 or x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation, ties by their mean rank."""
    return pearson(stats.rankdata(x), stats.rankdata(y))


def concordance(x: Floats, y: Floats) -> float:
    """Lin's concordance correlation: 1 only where the two are equal."""
    spread = float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    return 2 * float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread else float("nan")


def slope(x: Floats, y: Floats) -> float:
    """Least-squares slope of y on x."""
    spread = float(x.var())
    return float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread else float("nan")


def intercept(x: Floats, y: Floats) -> float:
    """Least-squares intercept of y on x."""
    return float(y.mean()) - slope(x, y) * float(x.mean())


def f1(found: Mask, reference: Mask) -> float:
    """2 × both / (found + reference); NaN where neither has any."""
    total = int(found.sum()) + int(reference.sum())
    return 2 * int((found & reference).sum()) / total if total else float("nan")


def _joined(slides: Sequence[Regions], column: str) -> Floats:
    return np.concatenate([getattr(s, column) for s in slides])


def _estimate(
    measure: Measure,
    x: Floats,
    y: Floats,
    patient: npt.NDArray[np.str_],
    drawing: tuple[np.random.Generator, int],
) -> Estimate:
    rng, resamples = drawing
    names = np.unique(patient)
    if len(names) < 3:
        return Estimate(value=measure(x, y))
    own = [np.flatnonzero(patient == name) for name in names]
    found = []
    for _ in range(resamples):
        chosen = np.concatenate([own[int(i)] for i in rng.integers(len(own), size=len(own))])
        found.append(measure(x[chosen], y[chosen]))
    told = np.asarray(found)[np.isfinite(found)]
    if not len(told):
        return Estimate(value=measure(x, y))
    low, high = np.quantile(told, [0.025, 0.975])
    return Estimate.of(measure(x, y), low, high)


def _shuffled(slides: Sequence[Regions], rng: np.random.Generator) -> float:
    y = _joined(slides, "measured")
    found = [
        pearson(np.concatenate([rng.permutation(s.generated) for s in slides]), y)
        for _ in range(_SHUFFLES)
    ]
    return float(np.mean(found))


def _swapped(slides: Sequence[Regions], rng: np.random.Generator) -> float:
    if len({s.patient for s in slides}) < 2:
        return float("nan")
    y = _joined(slides, "measured")
    found = []
    for _ in range(_SHUFFLES):
        parts = []
        for own in slides:
            others = [s for s in slides if s.patient != own.patient]
            drawn = others[int(rng.integers(len(others)))].generated
            parts.append(rng.choice(drawn, size=len(own)))
        found.append(pearson(np.concatenate(parts), y))
    return float(np.mean(found))


# ------------------------------------------------------------------ structures and cells


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Structures (TLS) that the painted map shows where the measured one does.

    Attributes
    ----------
    measured, generated
        How many structures each has.
    hit
        Measured ones that a generated one overlaps, within the tolerance.
    confirmed
        Generated ones that a measured one overlaps.
    expected_rate
        Hit rate of the generated structures laid anywhere on the map: what chance gives.
    """

    measured: int
    generated: int
    hit: int
    confirmed: int
    expected_rate: float

    @property
    def rate(self) -> float:
        """Share of the measured ones that are hit; NaN without any."""
        return self.hit / self.measured if self.measured else float("nan")

    @property
    def precision(self) -> float:
        """Share of the generated ones that are confirmed; NaN without any."""
        return self.confirmed / self.generated if self.generated else float("nan")


def structure_hits(
    generated: Mask, measured: Mask, *, spacing_um: float, tolerance_um: float, seed: int
) -> Hits:
    """Compare outlined structures, as masks on one grid.

    Parameters
    ----------
    generated, measured
        (y, x); each connected piece is a structure.
    spacing_um
        Of the grid.
    tolerance_um
        How far apart two may lie and still overlap: the alignment's predicted p90.
    seed
        Of the 199 places that the generated ones are laid at for comparison.

    Raises
    ------
    MarkerError
        The masks differ in shape.
    """
    if generated.shape != measured.shape:
        raise MarkerError(
            "masks of different shape cannot be compared",
            value=f"{generated.shape} and {measured.shape}",
        )
    reach = round(tolerance_um / spacing_um)

    def wide(mask: Mask) -> Mask:
        away = ndimage.distance_transform_edt(~mask)
        return np.asarray(away <= reach, dtype=np.bool_) if mask.any() else mask

    near_generated, near_measured = wide(generated), wide(measured)
    labels, n = ndimage.label(measured, structure=np.ones((3, 3)))
    own, m = ndimage.label(generated, structure=np.ones((3, 3)))

    def touched(pieces: npt.NDArray[np.int32], mask: Mask) -> int:
        return len(np.setdiff1d(np.unique(pieces[mask]), [0]))

    rng = np.random.default_rng(seed)
    chance = []
    for _ in range(199 if n else 0):
        by = tuple(int(rng.integers(s)) for s in generated.shape)
        chance.append(touched(labels, np.roll(near_generated, by, axis=(0, 1))) / n)
    return Hits(
        measured=int(n),
        generated=int(m),
        hit=touched(labels, near_generated),
        confirmed=touched(own, near_measured),
        expected_rate=float(np.mean(chance)) if chance else float("nan"),
    )


@dataclass(frozen=True, kw_only=True)
class CellAgreement:
    """Positive cells told from a map, on one section: never between consecutive sections.

    Attributes
    ----------
    cells
        How many on the map's support.
    f1, f1_all_positive
        Of positive cells, and of calling all positive.
    prevalence
        Share of positive cells.
    """

    cells: int
    f1: float
    f1_all_positive: float
    prevalence: float


def agree_on_cells(
    cells: Cells, generated: DensityMap, marker: str, *, nuclei: str, least_share: float = 0.5
) -> CellAgreement:
    """Tell which cells of the same section are positive, from the map round each.

    Parameters
    ----------
    cells
        With ``positive[marker]`` as truth, in the map's frame.
    generated
        With planes ``marker`` and ``nuclei``.
    marker, nuclei
        Planes: a cell is called positive where the marker makes up at least ``least_share`` of the
        density of nuclei.
    least_share
        In (0, 1].

    Raises
    ------
    MarkerError
        A plane or the positivity is missing, or no cell lies on the map.
    """
    if marker not in cells.positive:
        raise MarkerError("the cell table does not state which cells are positive", value=marker)
    inside = generated.window.contains(cells.x_um, cells.y_um)
    if not inside.any():
        raise MarkerError("no cell is within the area of the map", where=marker)
    row, column = generated.window.pixel(cells.x_um[inside], cells.y_um[inside])
    share = (
        generated.plane(marker)[row, column] >= least_share * generated.plane(nuclei)[row, column]
    )
    truth = cells.positive[marker][inside]
    prevalence = float(truth.mean())
    return CellAgreement(
        cells=int(inside.sum()),
        f1=f1(np.asarray(share), truth),
        f1_all_positive=2 * prevalence / (1 + prevalence),
        prevalence=prevalence,
    )

"""Alignment beside experts, itk-elastix and corrupted pairs: every figure of the gate.

    python bench/alignment.py              real pairs, both ways: error, pieces, time, memory
    python bench/alignment.py --turned     the moving section turned by 8 angles, and mirrored
    python bench/alignment.py --damaged    half missing and torn: pieces, and p90 where accepted
    python bench/alignment.py --whole      composites of 15 and 27 mm from real tissue
    python bench/alignment.py --stack      three real sections of one block solved together
    python bench/alignment.py --elastix    itk-elastix on the same pairs (pip install itk-elastix)
    python bench/alignment.py --pairs F    align every known pair and keep what was seen in F
    python bench/alignment.py --gate F     calibrate on F and judge each tissue by the others
    python bench/alignment.py --full       all of it

Needs ``../shared/data``. Relative errors (rTRE) are shares of the fixed image's diagonal.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "tests")  # and not bench/, where this file would be "alignment"

from alignment.composites import composite  # noqa: E402
from alignment.corruptions import missing, next_section, restained, torn, turned  # noqa: E402
from alignment.known_pairs import (  # noqa: E402
    CIMA,
    SINGLE,
    KnownPair,
    cima,
    cima_stack,
    pairs,
    single,
)
from metasight.alignment import AlignmentSettings, Section, align, align_stack  # noqa: E402
from metasight.alignment import error as predicted  # noqa: E402

SHARED = ROOT.parent / "shared"
RIGHT = 0.015


def sections(pair: KnownPair) -> tuple[Section, Section]:
    return Section(rgb=pair.fixed.rgb, mpp=pair.mpp), Section(rgb=pair.moving.rgb, mpp=pair.mpp)


def errors(pair: KnownPair, transform) -> np.ndarray:
    there = pair.fixed.there & pair.moving.there
    moved = transform.points(pair.fixed.points[there] * pair.mpp)
    away = np.linalg.norm(moved - pair.moving.points[there] * pair.mpp, axis=1)
    return away / sections(pair)[0].diagonal_um


def judged(pair: KnownPair) -> tuple[float, float, float, object]:
    fixed, moving = sections(pair)
    start = time.process_time()
    result = align(fixed, moving)
    seconds = time.process_time() - start
    error = errors(pair, result.transform)
    return float(np.median(error)), float(error.max()), seconds, result


def real() -> None:
    print(
        "real pairs, both ways (bars: medians no worse than 0.0050 lesion, 0.0025 kidney; 1 piece)"
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    medians = []
    for tissue in CIMA:
        for swapped in (False, True):
            pair = cima(SHARED, tissue, swapped=swapped)
            median, largest, seconds, result = judged(pair)
            medians.append(median)
            within = covered(pair, result)
            print(
                f"  {tissue} {'swapped' if swapped else 'as read'}: median {median:.4f} "
                f"max {largest:.4f}, {len(result.models)} piece, {seconds:.1f} s CPU, predicted "
                f"{result.error.p50_um:.0f}/{result.error.p90_um:.0f} µm, below p50 "
                f"{within[0].mean():.2f}, p90 {within[1].mean():.2f}, "
                f"{'accepted' if result.accepted else 'refused'}",
                flush=True,
            )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  mean of the medians {np.mean(medians):.4f}")
    print(f"  memory: {after / 1024:.0f} MB in all, {(after - before) / 1024:.0f} MB above start")


def covered(pair: KnownPair, result) -> tuple[np.ndarray, np.ndarray]:
    """Whether each landmark that has an error lies within p50 and within p90."""
    away = errors(pair, result.transform) * sections(pair)[0].diagonal_um
    there = pair.fixed.there & pair.moving.there
    p50, p90 = result.error.at(pair.fixed.points[there] * pair.mpp)
    known = np.isfinite(p50)
    return away[known] <= p50[known], away[known] <= p90[known]


def whole() -> None:
    print("composites of real tissue (bar: accepted where the true p90 is within the gate)")
    for millimetres in (15, 27):
        for seed in (1, 2):
            pair = composite(SHARED, 1000.0 * millimetres, seed)
            median, _, seconds, result = judged(pair)
            diagonal = sections(pair)[0].diagonal_um
            p90 = float(np.quantile(errors(pair, result.transform), 0.9)) * diagonal
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"  {millimetres} mm, seed {seed}: true {median * diagonal:.0f}/{p90:.0f} µm, "
                f"predicted {result.error.p50_um:.0f}/{result.error.p90_um:.0f} µm, "
                f"{len(result.models)} piece, "
                f"{'accepted' if result.accepted else 'refused'}, {seconds:.0f} s CPU "
                f"({seconds / millimetres**2 / 0.55:.2f} s/mm²), peak {peak:.0f} MB",
                flush=True,
            )


def stack_of_three() -> None:
    print("three real sections together (bar: none accepted whose true p90 is beyond the gate)")
    pictures, mpp = cima_stack(SHARED)
    names = ("H&E", "CD31", "Ki-67")
    sections_ = [Section(rgb=p.rgb, mpp=mpp) for p in pictures]
    for reference, name in enumerate(names):
        stack = align_stack(sections_, reference)
        for moving in sorted({0, 1, 2} - {reference}):
            own, found = stack.pairs[reference, moving], stack.alignment(moving)
            told = []
            for alignment in (own, found):
                put = alignment.transform.points(pictures[reference].points * mpp)
                away = np.linalg.norm(put - pictures[moving].points * mpp, axis=1)
                told.append(
                    f"true {np.median(away):.0f}/{np.quantile(away, 0.9):.0f} µm, predicted "
                    f"{alignment.error.p50_um:.0f}/{alignment.error.p90_um:.0f}, "
                    f"{'accepted' if alignment.accepted else 'refused'}"
                )
            way = " → ".join(names[k] for k in stack.ways[moving])
            print(f"  {names[moving]} on {name}: pair {told[0]}; by {way}: {told[1]}", flush=True)


def with_moving(pair: KnownPair, moving, kind: str, fixed=None) -> KnownPair:
    return KnownPair(
        tissue=pair.tissue,
        kind=kind,
        fixed=fixed or pair.fixed,
        moving=moving,
        mpp=pair.mpp,
        related=True,
    )


def turned_pairs() -> None:
    print("moving section turned (bar: within 10 % of unturned)")
    for tissue in CIMA:
        for swapped in (False, True):
            base = cima(SHARED, tissue, swapped=swapped)
            unturned = judged(base)[0]
            ratios, largest = [], 0.0
            for mirrored in (False, True):
                for angle in (17, 45, 90, 137, 180, 223, 270, 311):
                    moving = turned(base.moving, angle, mirrored=mirrored)
                    median, most, _, _ = judged(with_moving(base, moving, "turned"))
                    ratios.append(median / unturned)
                    largest = max(largest, most)
            print(
                f"  {tissue} {'swapped' if swapped else 'as read'}: unturned {unturned:.4f}, "
                f"turned/unturned {min(ratios):.3f} to {max(ratios):.3f}, max {largest:.4f}",
                flush=True,
            )


def damaged(each: int) -> None:
    print(
        "half missing and torn (bars: pieces right in ≥ 90 % of torn ones; true p90 above 1.5 × "
        "its prediction in ≤ 5 % of those accepted)"
    )
    rng = np.random.default_rng(7)
    of_torn, of_accepted, below = [], [], []
    for tissue in CIMA:
        right_pieces, accepted, right, refused_right = [], [], 0, 0
        for number in range(each):
            base = cima(SHARED, tissue, swapped=bool(number % 2))
            for case in damaged_pairs(base, rng):
                _, _, _, result = judged(case)
                diagonal = sections(case)[0].diagonal_um
                away = errors(case, result.transform) * diagonal
                there = case.fixed.there & case.moving.there
                of_tile = result.error.at(case.fixed.points[there] * case.mpp)[1]
                known = np.isfinite(of_tile)
                p90 = float(np.quantile(away[known], 0.9)) if known.any() else np.inf
                if "torn" in case.kind:
                    right_pieces.append(len(result.models) == 2)
                within = p90 <= AlignmentSettings().gate_um
                right += within
                refused_right += within and not result.accepted
                if result.accepted:
                    accepted.append(p90 > 1.5 * result.error.p90_um)
                    below.append(float((away[known] <= of_tile[known]).mean()))
        of_torn += right_pieces
        of_accepted += accepted
        print(
            f"  {tissue}: pieces right in {sum(right_pieces)} of {len(right_pieces)} torn; "
            f"accepted {len(accepted)}, above 1.5 × predicted {sum(accepted)}; of {right} with a "
            f"true p90 within the gate {refused_right} refused",
            flush=True,
        )
    print(
        f"  in all: pieces right in {sum(of_torn)} of {len(of_torn)}, above 1.5 × predicted "
        f"{sum(of_accepted)} of {len(of_accepted)} accepted; landmarks of these below the p90 of "
        f"their own tile {np.mean(below):.2f}"
    )


def damaged_pairs(base: KnownPair, rng: np.random.Generator) -> tuple[KnownPair, ...]:
    angle = [float(a) for a in rng.uniform(0, 360, 8)]
    tear = {
        "share": float(rng.uniform(0.2, 0.5)),
        "gap": float(rng.uniform(0.02, 0.1)),
        "twist_degrees": float(rng.uniform(-25, 25)),
    }
    return (
        with_moving(base, turned(missing(base.moving, angle[0], 0.5), angle[1]), "missing"),
        with_moving(
            base, turned(base.moving, angle[2]), "fixed missing", missing(base.fixed, angle[3], 0.5)
        ),
        with_moving(base, turned(torn(base.moving, angle[4], **tear), angle[5]), "torn"),
        with_moving(
            base, turned(base.moving, angle[6]), "fixed torn", torn(base.fixed, angle[7], **tear)
        ),
    )


def elastix() -> None:
    import itk

    print("itk-elastix: rigid, affine, B-spline on the same grey images (bar: ours ≤ 1.05 ×, 1/5)")
    for tissue in CIMA:
        for swapped in (False, True):
            pair = cima(SHARED, tissue, swapped=swapped)
            ours, _, our_seconds, _ = judged(pair)
            theirs, seconds = _elastix(itk, pair)
            print(
                f"  {tissue} {'swapped' if swapped else 'as read'}: ours {ours:.4f} in "
                f"{our_seconds:.1f} s, elastix {theirs:.4f} in {seconds:.1f} s CPU; "
                f"error × {ours / theirs:.2f}, time × {our_seconds / seconds:.2f}",
                flush=True,
            )


def _elastix(itk, pair: KnownPair) -> tuple[float, float]:
    grey = [255 - p.rgb.astype(np.float32).mean(axis=2) for p in (pair.fixed, pair.moving)]
    fixed, moving = (itk.image_from_array(np.ascontiguousarray(g)) for g in grey)
    settings = itk.ParameterObject.New()
    for name, count, spacing in (("rigid", 4, 0), ("affine", 4, 0), ("bspline", 4, 64)):
        stage = (
            settings.GetDefaultParameterMap(name, count, spacing)
            if spacing
            else settings.GetDefaultParameterMap(name, count)
        )
        stage["MaximumNumberOfIterations"] = ["1000"]
        stage["NumberOfSpatialSamples"] = ["5000"]
        stage["AutomaticTransformInitialization"] = ["true"]
        stage["AutomaticTransformInitializationMethod"] = ["GeometricalCenter"]
        settings.AddParameterMap(stage)
    start = time.process_time()
    _, found = itk.elastix_registration_method(
        fixed, moving, parameter_object=settings, number_of_threads=1, log_to_console=False
    )
    seconds = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.txt"
        points = pair.fixed.points - 0.5
        text = "\n".join(f"{x} {y}" for x, y in points)
        path.write_text(f"point\n{len(points)}\n{text}\n")
        itk.transformix_filter(
            moving, found, fixed_point_set_file_name=str(path), output_directory=folder
        )
        lines = (Path(folder) / "outputpoints.txt").read_text().splitlines()
    moved = np.array(
        [
            [float(v) for v in line.split("OutputPoint = [")[1].split("]")[0].split()]
            for line in lines
        ]
    )
    away = np.linalg.norm(moved + 0.5 - pair.moving.points, axis=1)
    return float(np.median(away) / np.hypot(*pair.fixed.rgb.shape[:2])), seconds


def see_pairs(path: Path, each: int, seed: int) -> None:
    """Align every known pair; keep what the gate needs, so that it can be tried again and again."""
    seen = []
    for tissue in (*CIMA, *SINGLE):
        for pair in (*intact(tissue, each), *pairs(SHARED, tissue, seed, each=each)):
            fixed, moving = sections(pair)
            result = align(fixed, moving)
            points, away = np.zeros((0, 2)), np.zeros(0)
            if pair.related:
                points = pair.fixed.points[pair.fixed.there & pair.moving.there] * pair.mpp
                away = errors(pair, result.transform) * fixed.diagonal_um
            known = np.isfinite(result.error.at(points)[0])
            checked = result.checked
            seen.append(
                {
                    "tissue": tissue,
                    "kind": pair.kind,
                    "related": pair.related,
                    "real": tissue in CIMA,
                    "tile_um": result.error.tile_um,
                    "in_place": result.error.in_place,
                    "overlap": result.overlap,
                    "unmatched": result.unmatched,
                    "pieces": len(result.models),
                    "at": checked.points_um.tolist(),
                    "distance": checked.distance_um.tolist(),
                    "score": checked.score.tolist(),
                    "radius_um": checked.radius_um,
                    "tiles": result.error.tile_centres_um().tolist(),
                    "points": points[known].tolist(),
                    "error": away[known].tolist(),
                }
            )
            print(tissue, pair.kind, result.accepted, flush=True)
        path.write_text(json.dumps(seen))


def intact(tissue: str, each: int) -> list[KnownPair]:
    """The pair as it is, both ways; of a single image next sections, turned."""
    if tissue in CIMA:
        return [cima(SHARED, tissue, swapped=swapped) for swapped in (False, True)]
    found = []
    for seed in range(1, each + 2):
        fixed, mpp = single(SHARED, tissue)
        moving = turned(restained(next_section(fixed, seed), seed), 37.0 * seed)
        found.append(
            KnownPair(
                tissue=tissue, kind="intact", fixed=fixed, moving=moving, mpp=mpp, related=True
            )
        )
    return found


def gate(path: Path) -> None:
    """Calibrate, judge each tissue by the others, then what is shipped."""
    seen = json.loads(path.read_text())
    for pair in seen:
        checked = predicted.Check(
            points_um=np.array(pair["at"]).reshape(-1, 2),
            distance_um=np.array(pair["distance"]),
            score=np.array(pair["score"]),
            radius_um=pair["radius_um"],
        )
        for name in ("points", "tiles"):
            at = np.array(pair[name]).reshape(-1, 2)
            pair[f"near {name}"] = predicted.local_distance_um(checked, at, pair["tile_um"])
        pair["error"] = np.array(pair["error"])
        pair["group"] = pair["tissue"].partition("-")[0]
    groups = list(dict.fromkeys(p["group"] for p in seen if p["real"]))
    print(f"{len(seen)} pairs; below p50 and p90 with one tissue left out of the calibration:")
    left_out = []
    for group in groups:
        others = calibrate([p for p in seen if p["group"] != group])
        left_out += [_covered(p, others) for p in seen if p["group"] == group and _intact(p)]
        mine = [p for p in seen if p["group"] == group]
        print(f"  {group}: intact {_coverage(mine, others)}; {_kept(mine, others)}")
    _print_clustered(np.array(left_out))
    print(f"calibration: {calibrate(seen)}")
    print(f"shipped:     {predicted.CALIBRATION}")
    simulated = [p for p in seen if not p["real"]]
    print(f"simulated next sections, own error: {_coverage(simulated, predicted.CALIBRATION)}")
    print(f"all, shipped: {_kept(seen, predicted.CALIBRATION)}")


def _intact(pair: dict) -> bool:
    return pair["kind"] == "intact" and len(pair["error"]) > 0


def _covered(pair: dict, calibration: predicted.Calibration) -> tuple[float, float]:
    quantiles = calibration.errors(pair["near points"], marked=pair["real"])
    return tuple(float((pair["error"] <= q).mean()) for q in quantiles)


def _coverage(seen: list[dict], calibration: predicted.Calibration) -> str:
    shares = np.array([_covered(p, calibration) for p in seen if _intact(p)])
    return f"below p50 {shares[:, 0].mean():.2f}, below p90 {shares[:, 1].mean():.2f}"


def _print_clustered(shares: np.ndarray) -> None:
    """Coverage with an interval from resampled pairs; both ways of one stay together."""
    rng = np.random.default_rng(1)
    both = shares.reshape(-1, 2, 2).mean(axis=1)
    draws = both[rng.integers(len(both), size=(4000, len(both)))].mean(axis=1)
    for name, k in (("p50", 0), ("p90", 1)):
        low, high = np.quantile(draws[:, k], [0.025, 0.975])
        print(
            f"  real pairs, tissue left out: below {name} {both[:, k].mean():.2f} "
            f"({low:.2f} to {high:.2f}, {len(both)} pairs)"
        )


def _kept(seen: list[dict], calibration: predicted.Calibration) -> str:
    settings = AlignmentSettings()
    kept: dict[str, list[bool]] = {
        "true p90 within the gate": [],
        "true p90 beyond": [],
        "wrong": [],
    }
    above = []
    for pair in seen:
        p90 = predicted.pooled(*calibration.errors(pair["near tiles"]))[1]
        accepted = (
            p90 <= settings.gate_um
            and pair["in_place"] >= settings.least_in_place
            and pair["overlap"] >= settings.least_overlap
            and pair["unmatched"] <= settings.most_unmatched
        )
        true = float(np.quantile(pair["error"], 0.9)) if len(pair["error"]) else np.inf
        kind = (
            "wrong"
            if not pair["related"]
            else ("true p90 within the gate" if true <= settings.gate_um else "true p90 beyond")
        )
        kept[kind].append(accepted)
        if accepted and pair["related"]:
            above.append(true > 1.5 * p90)
    counts = ", ".join(f"{name}: {sum(v)} of {len(v)} accepted" for name, v in kept.items())
    return f"{counts}; true p90 above 1.5 × predicted in {sum(above)} of {len(above)} accepted"


def calibrate(seen: list[dict]) -> predicted.Calibration:
    """Quantile regression of log error on log distance; every pair weighs the same.

    Simulated truth has no expert's error, real truth has: six numbers from both together, by
    Nelder and Mead's method on the pinball loss of the logarithm.
    """
    from scipy.optimize import minimize

    fits = {}
    used = [p for p in seen if p["related"] and len(p["error"]) > 5 and np.median(p["error"]) < 150]
    for q in (0.5, 0.9):

        def loss(theta: np.ndarray, q: float = q) -> float:
            total = 0.0
            for pair in used:
                own = np.exp(theta[0]) * np.maximum(pair["near points"], 2.0) ** theta[1]
                put = np.hypot(own, np.exp(theta[2]) if pair["real"] else 0.0)
                rest = np.log(np.maximum(pair["error"], 1.0)) - np.log(put)
                total += float(np.maximum(q * rest, (q - 1) * rest).mean())
            return total / len(used)

        start = [0.3, 0.9, np.log(15 if q == 0.5 else 33)]
        fits[q] = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 3000}).x
    return predicted.Calibration(
        factor_p50=round(float(np.exp(fits[0.5][0])), 3),
        power_p50=round(float(fits[0.5][1]), 3),
        factor_p90=round(float(np.exp(fits[0.9][0])), 3),
        power_p90=round(float(fits[0.9][1]), 3),
        marks_p50_um=round(float(np.exp(fits[0.5][2])), 1),
        marks_p90_um=round(float(np.exp(fits[0.9][2])), 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("turned", "damaged", "whole", "stack", "elastix", "full"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--gate", type=Path)
    parser.add_argument("--each", type=int, default=1, help="pairs of each kind")
    parser.add_argument("--seed", type=int, default=11)
    asked = parser.parse_args()
    parts = (asked.turned, asked.damaged, asked.whole, asked.stack, asked.elastix)
    parts = (*parts, asked.pairs, asked.gate)
    if not any(parts):
        real()
    if asked.turned or asked.full:
        turned_pairs()
    if asked.damaged or asked.full:
        damaged(asked.each)
    if asked.whole or asked.full:
        whole()
    if asked.stack or asked.full:
        stack_of_three()
    if asked.elastix or asked.full:
        elastix()
    if asked.pairs or asked.full:
        see_pairs(asked.pairs or Path(tempfile.gettempdir()) / "pairs.json", asked.each, asked.seed)
    if asked.gate or asked.full:
        gate(asked.gate or asked.pairs or Path(tempfile.gettempdir()) / "pairs.json")


if __name__ == "__main__":
    main()

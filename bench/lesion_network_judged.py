"""The network's outlines beside the reader's, patients left out; what is flagged; phantoms.

    python bench/lesion_network.py --out FOLDER          # trains; some 40 minutes
    python bench/lesion_network_judged.py --networks FOLDER [--phantoms 24] [--jobs 1]

Each real nodule is outlined by the network of the fold that left its patient out, from five clicks
(the deepest point of the reader's mask and four within 3 mm of it). Phantoms are those of
``bench/lesions.py``, slices of 1 to 3 mm, which no network was trained on, two clicks each. The
probability that an outline is wrong is fitted without the fold that it is judged in, and so is the
cut from which it is flagged; ``--fit`` prints what the package holds: fitted on all. The rules'
outlines are those that the training kept in the folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from lesion_network import FOLDS
from lesion_network_examples import bench_phantoms, real_examples
from lesions_cubes import beside, counted, wrong
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from metasight.errors import VolumeError
from metasight.lesions.size import size_of
from metasight.lesions.wrong_outline import TERMS, terms_of
from metasight.segmentation.lesion_by_network import NetworkOutlines, RuleOutlines, outlined_by
from metasight.segmentation.lesion_field import Field
from metasight.segmentation.lesion_folds import fold_of
from metasight.segmentation.lesion_network import LesionNetwork
from metasight.segmentation.lesion_network_training import Example
from metasight.volumes.volume import Mask, Volume

Row = dict[str, Any]
MOST_RIGHT_FLAGGED = 0.15
STRENGTH = 0.1
"""Of the logistic regression's penalty (scikit-learn's C): few patients, eight terms."""
CHOSEN_ON = (0, 1)
"""Folds whose patients were looked at when the terms were chosen, and network and rules joined."""


def network_in(folder: Path, fold: int) -> LesionNetwork:
    """One fold's network."""
    with np.load(folder / f"fold-{fold}.npz", allow_pickle=False) as file:
        return LesionNetwork({k: file[k].astype(np.float32) for k in file.files})


def field_of(scan: Volume) -> Field:
    """The cube as it is: no lungs and no smoothing are asked for by the network."""
    everywhere = np.ones(scan.array.shape, dtype=bool)
    hu = scan.array.astype(np.float32)
    return Field(
        image=scan.image,
        sharp=hu,
        hu=hu,
        faint=hu,
        allowed=everywhere,
        lung=everywhere,
        spacing_mm=scan.spacing_mm[0],
    )


def size_mm(mask: np.ndarray, scan: Volume) -> float:
    """Longest diameter; 0 for a speck."""
    try:
        return size_of(Mask.from_array(mask, on=scan)).longest_mm
    except VolumeError:
        return 0.0


def judged(example: Example, network: LesionNetwork) -> list[Row]:
    """Rules and network from each click of a nodule."""
    scan = Volume.from_array(example.hu, unit="HU", spacing_mm=(example.voxel_mm,) * 3)
    field, reader = field_of(scan), Mask.from_array(example.mask > 0.5, on=scan)
    rows = []
    for number, click in enumerate(example.clicks):
        outlines = list(_whole(click.outlines, example))
        rules = RuleOutlines(
            answer=_whole(click.answer, example),
            voters=outlines[: click.n_voters],
            others=outlines[click.n_voters :],
        )
        at = np.array(click.at[::-1]) * example.voxel_mm
        start = time.perf_counter()
        found = outlined_by(network, field, scan, at, rules)
        seconds = time.perf_counter() - start
        sizes = {n: size_mm(o, scan) for n, o in _compared(rules, found).items()}
        own = size_mm(found.answer, scan)
        rows.append(
            {
                "patient": example.patient,
                "fold": fold_of(example.patient, FOLDS),
                "real": not example.patient.startswith("phantom"),
                "click": number,
                "rules": _beside(rules.answer, reader, scan),
                "network": _beside(found.network, reader, scan),
                "together": _beside(found.answer, reader, scan),
                "terms": terms_of(found.spread, click.cut_share, own, sizes),
                "seconds": seconds,
            }
        )
    return rows


def _compared(rules: RuleOutlines, found: NetworkOutlines) -> dict[str, np.ndarray]:
    return {
        "rules": rules.answer,
        "network": found.network,
        "lower": found.lower,
        "upper": found.upper,
    }


def _beside(mask: np.ndarray, reader: Mask, scan: Volume) -> dict[str, float]:
    if not mask.any():
        return {"dice": 0.0, "volume": 0.0, "diameter": float("nan")}
    return beside(mask, reader, scan)


def _whole(packed: np.ndarray, example: Example) -> np.ndarray:
    return np.unpackbits(packed, axis=-1, count=example.hu.shape[-1]).astype(bool)


# ------------------------------------------------------------------ the probability


def fitted(rows: list[Row]) -> tuple[float, np.ndarray, float]:
    """Intercept, coefficients, and the lowest cut that flags at most 15 % of the right ones."""
    terms, bad = np.array([r["terms"] for r in rows]), np.array([r["bad"] for r in rows])
    centre, scale = terms.mean(axis=0), terms.std(axis=0) + 1e-9
    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit((terms - centre) / scale, bad)
    coefficients = model.coef_[0] / scale
    intercept = float(model.intercept_[0] - coefficients @ centre)
    risk = probability(rows, intercept, coefficients)
    return intercept, coefficients, float(np.quantile(risk[~bad], 1 - MOST_RIGHT_FLAGGED))


def probability(rows: list[Row], intercept: float, coefficients: np.ndarray) -> np.ndarray:
    """That each outline is wrong."""
    odds = intercept + np.array([r["terms"] for r in rows]) @ coefficients
    return np.asarray(1 / (1 + np.exp(-odds)))


def cross_fitted(rows: list[Row]) -> None:
    """Adds to each row its probability and flag, fitted on other folds."""
    for fold in range(FOLDS):
        own = [r for r in rows if r["fold"] == fold]
        intercept, coefficients, cut = fitted([r for r in rows if r["fold"] != fold])
        for row, risk in zip(own, probability(own, intercept, coefficients), strict=True):
            row["risk"], row["flagged"] = float(risk), bool(risk >= cut)


# ------------------------------------------------------------------ what is printed


def line(name: str, rows: list[Row], how: str) -> None:
    """How far one way of outlining is from the reader."""
    dice = np.array([r[how]["dice"] for r in rows])
    volume = np.array([r[how]["volume"] for r in rows])
    off = np.array([r[how]["diameter"] for r in rows])
    bad = np.array([wrong(r[how]) for r in rows])
    print(
        f"  {name:34s} {how:8s} n {len(rows):3d}: Dice median {np.median(dice):.3f}, < 0.5 "
        f"{(dice < 0.5).mean():.1%}; volume outside ½–2 × "
        f"{1 - ((volume >= 0.5) & (volume <= 2)).mean():.1%}; diameter off by > 5 mm "
        f"{1 - (np.abs(off) <= 5).mean():.1%}; wrong {bad.mean():.1%}"
    )


def flags(name: str, rows: list[Row]) -> None:
    """How many of the wrong and of the right outlines are flagged."""
    bad = np.array([r["bad"] for r in rows])
    flagged = np.array([r["flagged"] for r in rows])
    risk = np.array([r["risk"] for r in rows])
    auc = roc_auc_score(bad, risk) if 0 < bad.sum() < len(bad) else float("nan")
    print(
        f"  {name:34s} wrong ones flagged {counted(flagged[bad])}, right ones "
        f"{counted(flagged[~bad])}; AUC {auc:.2f}; probability {risk.mean():.2f} on average, "
        f"{bad.mean():.2f} wrong"
    )


def report(rows: list[Row]) -> None:
    """All lines of issue 15 on nodules."""
    real = [r for r in rows if r["real"]]
    untouched = [r for r in real if r["fold"] not in CHOSEN_ON]
    groups = {
        "real, folds never looked at": untouched,
        "real, left out, deepest point": [r for r in real if r["click"] == 0],
        "real, left out, five clicks": real,
        "phantoms, two clicks": [r for r in rows if not r["real"]],
    }
    for name, own in groups.items():
        for how in ("rules", "network", "together"):
            line(name, own, how)
    for name, own in (*groups.items(), ("all pooled", rows)):
        flags(name, own)
    seconds = [r["seconds"] for r in rows]
    print(f"  the network's part of a click: {np.median(seconds):.2f} s")


def main() -> int:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=24)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--fit", action="store_true", help="print the package's constants")
    asked = parser.parse_args()
    examples = real_examples(asked.networks, asked.jobs)
    examples += bench_phantoms(asked.networks, asked.phantoms, asked.jobs)
    networks = [network_in(asked.networks, fold) for fold in range(FOLDS)]
    rows = [r for e in examples for r in judged(e, networks[fold_of(e.patient, FOLDS)])]
    for row in rows:
        row["bad"] = wrong(row["together"])
    cross_fitted(rows)
    report(rows)
    if asked.fit:
        intercept, coefficients, cut = fitted(rows)
        print(f"INTERCEPT = {intercept:.4f}\nFLAGGED_FROM = {cut:.3f}")
        print("\n".join(f'    "{t}": {c:.4f},' for t, c in zip(TERMS, coefficients, strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

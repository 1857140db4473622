"""Trains the network that outlines a lesion from a click, with patients left out and on all.

    python bench/lesion_network.py --out FOLDER [--folds 4] [--steps 500] [--only 0 1]

Writes ``fold-K.npz`` of each fold's network (it has not seen the patients of fold K) and
``all.npz``. Trained on the 71 nodules of ``lidc-cubes`` (LIDC-IDRI, CC BY 3.0) and on phantoms
numbered from 10,000 (those of ``bench/lesions.py`` are others). Nodules are clicked and outlined by
the rules once, and kept in the folder. A training that was stopped goes on where it was; one
thread, a seed: the same bytes on one machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from lesion_network_examples import REAL_SHARE, phantoms_to_train_on, real_examples

from metasight.segmentation.lesion_folds import left_out
from metasight.segmentation.lesion_network_training import TrainingSettings, trained

FOLDS = 4
PHANTOMS = 40


def train_fold(fold: int | None, folder: Path, n: int, steps: int, jobs: int) -> None:
    """One fold's network, or that of all patients."""
    name = "all" if fold is None else f"fold-{fold}"
    if (folder / f"{name}.npz").exists():
        return
    nodules = real_examples(folder, jobs)
    phantoms = phantoms_to_train_on(folder, PHANTOMS, jobs)
    if fold is not None:
        kept, _ = left_out([e.patient for e in nodules], fold, n)
        nodules = [nodules[k] for k in kept]
    start = time.perf_counter()
    of_real, of_phantoms = REAL_SHARE / len(nodules), (1 - REAL_SHARE) / len(phantoms)
    network = trained(
        [*nodules, *phantoms],
        [of_real] * len(nodules) + [of_phantoms] * len(phantoms),
        TrainingSettings(steps=steps),
        checkpoint=folder / f"{name}.pt",
    )
    halves: dict[str, Any] = {k: v.astype(np.float16) for k, v in sorted(network.weights.items())}
    np.savez(folder / f"{name}.npz", **halves)
    seconds = time.perf_counter() - start
    print(f"{name}: {len(nodules)} nodules, {len(phantoms)} phantoms, {seconds:.0f} s", flush=True)


def main() -> int:
    """Train what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--only", type=int, nargs="*", help="folds; −1 is all patients")
    parser.add_argument("--jobs", type=int, default=1, help="processes that click")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for fold in asked.only if asked.only is not None else [*range(asked.folds), -1]:
        train_fold(None if fold < 0 else fold, asked.out, asked.folds, asked.steps, asked.jobs)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Where a network looked on the slides of patients whom it did not see, as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.engine.step import Inputs
from metasight.steps.files import read_json
from metasight.steps.slides.patches import BAGS, checks_of_bags
from metasight.steps.slides.sections import read_tissue

ATTENTION = "attention"
_STRONGEST = 4.0
"""Times the mean share of a slide's patches that the end of the colour scale stands for."""
_STRIP_PX, _EDGE_PX = 32, 8


@dataclass(frozen=True, kw_only=True)
class AttentionArgument:
    """Whose slides, and which model.

    Attributes
    ----------
    model
        Its name.
    """

    model: str


def draw_attention(inputs: Inputs, out: Path, argument: AttentionArgument) -> None:
    """One ``<pseudonym>.png`` a patient: the slide's overview under the mean attention of all fits.

    Dark patches got none, bright ones four times the mean and more. Fits are those of the random
    folds in which the patient was left out.
    """
    told = [_of_fit(folder, argument.model) for folder in inputs.values()]
    checks = checks_of_bags(inputs[BAGS])
    parts = [t for t in told if t is not None]
    if not parts:
        return
    table = pd.concat(parts)
    for patient, own in table[table["slide"] == 0].groupby("patient"):
        shares = own.groupby(["x", "y", "patch_px"])["share"].mean().reset_index()
        picture = _overlay(inputs[checks[str(patient)][0]], shares)
        cv2.imwrite(str(out / f"{patient}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _of_fit(folder: Path, model: str) -> pd.DataFrame | None:
    path = folder / "attention.parquet"
    if not path.is_file():
        return None
    audit = read_json(folder / "audit.json")
    return pd.read_parquet(path) if (audit["model"], audit["scheme"]) == (model, "kfold") else None


def _overlay(checked: Path, shares: pd.DataFrame) -> npt.NDArray[np.uint8]:
    overview = np.asarray(cv2.imread(str(checked / "overview.png")))[..., ::-1]
    _, overview_mpp = read_tissue(checked / "tissue.npz")
    scale = float(read_json(checked / "quality.json")["mpp"]) / overview_mpp
    relative = shares["share"].to_numpy() * len(shares)
    level = np.clip(relative / _STRONGEST, 0, 1)
    heat = np.zeros(overview.shape[:2], dtype=np.uint8)
    covered = np.zeros(overview.shape[:2], dtype=np.uint8)
    places = shares[["x", "y", "patch_px"]].to_numpy(dtype=np.float64).tolist()
    for (x, y, patch_px), value in zip(places, level.tolist(), strict=True):
        # a file of other programs may not say how large a patch is: then a dot stands for it
        side = max(patch_px, 2 / scale)
        corner = (round(x * scale), round(y * scale))
        far = (round((x + side) * scale) - 1, round((y + side) * scale) - 1)
        cv2.rectangle(heat, corner, far, round(255 * value), cv2.FILLED)
        cv2.rectangle(covered, corner, far, 255, cv2.FILLED)
    colours = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
    mixed = cv2.addWeighted(np.ascontiguousarray(overview), 0.5, colours, 0.5, 0)
    picture = np.where(covered[..., None] > 0, mixed, overview).astype(np.uint8)
    return np.concatenate([picture, _scale(picture.shape[1])])


def _scale(width: int) -> npt.NDArray[np.uint8]:
    """What the colours mean, as a strip below the picture."""
    strip = np.full((_STRIP_PX, width, 3), 255, dtype=np.uint8)
    bar = np.linspace(0, 255, max(width - 2 * _EDGE_PX, 2)).astype(np.uint8)[None]
    colours = cv2.cvtColor(cv2.applyColorMap(bar, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
    strip[4:14, _EDGE_PX : _EDGE_PX + bar.shape[1]] = colours
    ends = ("0", "mean", f"{_STRONGEST:g} x mean or more")
    for text, share in zip(ends, (0.0, 1 / _STRONGEST, 1.0), strict=True):
        (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.35, 1)
        x = _EDGE_PX + share * bar.shape[1] - length * share
        cv2.putText(
            strip,
            text,
            (round(x), _STRIP_PX - 5),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.35,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    return strip

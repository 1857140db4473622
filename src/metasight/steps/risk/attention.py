"""Where a network looked on the slides of patients whom it did not see, as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.engine.step import Inputs
from metasight.report.attention import Patches, attention_overlay
from metasight.steps import artefacts
from metasight.steps.risk.out_of_fold import unseen_folders
from metasight.steps.slides.patches import BAGS, checks_of_bags
from metasight.steps.slides.sections import read_tissue

ATTENTION = "attention"


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
    file = artefacts.ATTENTION.name
    fits = unseen_folders(inputs.values(), argument.model, file)
    parts = [pd.read_parquet(folder / file) for folder in fits]
    checks = checks_of_bags(inputs[BAGS])
    if not parts:
        return
    table = pd.concat(parts)
    for patient, own in table[table["slide"] == 0].groupby("patient"):
        shares = own.groupby(["x", "y", "patch_px"])["share"].mean().reset_index()
        picture = _drawn(inputs[checks[str(patient)][0]], shares)
        cv2.imwrite(str(out / f"{patient}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _drawn(checked: Path, shares: pd.DataFrame) -> npt.NDArray[np.uint8]:
    overview = np.asarray(cv2.imread(str(artefacts.OVERVIEW.path(checked))))[..., ::-1]
    _, overview_mpp = read_tissue(artefacts.TISSUE.path(checked))
    mpp = float(artefacts.QUALITY.read(checked)["mpp"])
    patches = Patches(
        corner_px=shares[["x", "y"]].to_numpy(dtype=np.float64),
        side_px=shares["patch_px"].to_numpy(dtype=np.float64),
        share=shares["share"].to_numpy(dtype=np.float64),
    )
    return attention_overlay(overview, patches, scale=mpp / overview_mpp)

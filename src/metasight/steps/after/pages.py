"""One printed page for every predicted patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metasight.engine.step import Inputs, StepKind
from metasight.features.columns import Feature
from metasight.protocol.study import Protocol
from metasight.report.patient_page import write_page
from metasight.steps import artefacts


@dataclass(frozen=True, kw_only=True)
class PagesArgument:
    """What words and units the pages use."""

    protocol: Protocol
    features: tuple[Feature, ...]


def draw_pages(inputs: Inputs, out: Path, argument: PagesArgument) -> None:
    """Write a page, as HTML and PDF, for every patient."""
    predicted = inputs.only(StepKind.PREDICT)
    found = artefacts.NEW_PREDICTIONS.read(predicted)
    features = {f.name: f for f in argument.features}
    for patient in found["patients"]:
        write_page(found, patient, argument.protocol, features, out)

"""Tiles of H&E as features: a bag for each patient, all bags in one folder for the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metasight.cohort.settings import EmbeddingSettings
from metasight.engine.guarded import guarded, limits_for
from metasight.engine.step import Inputs, StepKind
from metasight.engine.threads import one_torch_thread
from metasight.errors import EncoderError
from metasight.features.bags import (
    PatchFeatures,
    join_bags,
    read_patch_features,
    write_patch_features,
)
from metasight.features.embeddings import embed_slide
from metasight.features.encoders import Encoder, load_encoder
from metasight.ledger import Entry, Fate
from metasight.steps import artefacts
from metasight.steps.failures import OF_ALL_SLIDES, why_failed
from metasight.steps.files import link
from metasight.steps.slides.one_slide import SlideArgument, opened
from metasight.steps.slides.sections import checking, read_tissue

PATCHES = "patches of "
BAGS = "bags"
STAGE = "patch features"


@dataclass(frozen=True, kw_only=True)
class PatchesArgument:
    """A patient's H&E slides and the encoder.

    Attributes
    ----------
    patient
        Pseudonym.
    slides
        H&E only.
    settings
        Of the study.
    weights
        File of the encoder's weights; None for the embedded one.
    features
        Slide's name → file of features that were made elsewhere; None to make them.
    """

    patient: str
    slides: tuple[SlideArgument, ...]
    settings: EmbeddingSettings
    weights: Path | None
    features: Mapping[str, Path] | None


def embed_patient(inputs: Inputs, out: Path, argument: PatchesArgument) -> None:
    """One bag of all the patient's H&E slides that are good enough; ledger rows."""
    rows: list[dict[str, Any]] = []
    bags: list[PatchFeatures] = []
    joined: list[str] = []
    encoder: Encoder | None = None
    for a in argument.slides:
        quality = artefacts.QUALITY.read(inputs[checking(a.slide.name)])
        if quality["sufficient"] is False:
            continue
        try:
            if argument.features is not None:
                path, name = argument.features[a.slide.name], a.slide.name
                bag = guarded(read_patch_features, limits_for(path), EncoderError, path, name)
            else:
                if encoder is None:
                    s = argument.settings
                    encoder = load_encoder(s.encoder, argument.weights, s.sha256)
                tissue, mpp = read_tissue(artefacts.TISSUE.path(inputs[checking(a.slide.name)]))
                with opened(a) as slide, one_torch_thread():
                    bag = embed_slide(
                        slide, tissue, mpp, encoder, most_patches=argument.settings.most_patches
                    )
        except OF_ALL_SLIDES:
            raise
        except Exception as error:
            if isinstance(error, EncoderError) and encoder is None and argument.features is None:
                raise  # the encoder itself: every patient would fail alike
            rows.append(_row(argument.patient, a, Fate.FAILED, "", why_failed(error)))
            continue
        bags.append(bag)
        joined.append(checking(a.slide.name))
        rows.append(_row(argument.patient, a, Fate.KEPT, f"{len(bag)} patches", ""))
    if bags:
        write_patch_features(join_bags(bags, argument.patient), artefacts.BAG.path(out))
    artefacts.PATCHES.write(
        out,
        {
            "patient": argument.patient,
            "checks": joined,
            "ledger": rows,
        },
    )


def _row(patient: str, a: SlideArgument, verdict: Fate, value: str, reason: str) -> dict[str, Any]:
    entry = Entry(
        patient=patient,
        item=a.slide.name,
        stage=STAGE,
        verdict=verdict,
        criterion="",
        value=value,
        reason=reason,
    )
    return asdict(entry)


def gather_bags(inputs: Inputs, out: Path, argument: None) -> None:
    """All bags as ``<pseudonym>.h5`` in one folder, and their ledger rows.

    Raises
    ------
    EncoderError
        Two patients' bags are of different encoders.
    """
    del argument
    rows: list[dict[str, Any]] = []
    first: tuple[str, int] | None = None
    checks: dict[str, list[str]] = {}
    for own_input in sorted(inputs.of(StepKind.EMBED_PATCHES), key=lambda i: i.name):
        folder = own_input.folder
        found = artefacts.PATCHES.read(folder)
        rows += found["ledger"]
        bag = artefacts.BAG.path(folder)
        if not bag.is_file():
            continue
        read = read_patch_features(bag, found["patient"])
        own = (read.encoder, read.features.shape[1])
        first = first or own
        if own != first:
            raise EncoderError(
                "patch features of two encoders",
                where=found["patient"],
                value=f"{own[0] or 'unnamed'} ({own[1]}), others {first[0] or 'unnamed'} "
                f"({first[1]})",
                remedy="Make all features with one encoder",
            )
        checks[found["patient"]] = found["checks"]
        link(bag, out / f"{found['patient']}.h5")
    artefacts.BAGS.write(out, {"checks": checks, "ledger": rows})


def checks_of_bags(folder: Path) -> dict[str, list[str]]:
    """Pseudonym → names of the steps that checked the slides of the bag, in the bag's order."""
    return {str(p): list(names) for p, names in artefacts.BAGS.read(folder)["checks"].items()}


def bag_keys(folder: Path) -> tuple[dict[str, str], list[Entry]]:
    """Pseudonym → key of the bag, and ledger rows."""
    rows = artefacts.BAGS.read(folder)["ledger"]
    keys = {p.stem: p.stem for p in sorted(folder.glob("*.h5"))}
    return keys, [Entry.from_row(row) for row in rows]

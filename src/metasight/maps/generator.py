"""A generator is whatever paints marker densities on H&E; its file, and the proof of what it saw.

A generator's folder holds ``weights.safetensors`` (every fitted number), ``generator.json``
(settings, markers, whom it was trained on) and ``model_card.md``. The JSON names the sha256 of the
weights and the weights carry that of the JSON: neither can be changed or exchanged unseen, and no
code is ever loaded.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from metasight.errors import LeakageError, MarkerError
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.outlier import OutlierModel
from metasight.provenance import hash_file, hash_json
from metasight.slides.reader import SlideReader

if TYPE_CHECKING:
    from metasight.maps.trained_generator import TrainedGenerator

Floats32 = npt.NDArray[np.float32]

FORMAT = "metasight-generator-3"
WEIGHTS, CARD, MODEL_CARD = "weights.safetensors", "generator.json", "model_card.md"


@dataclass(frozen=True, kw_only=True)
class PaintedTile:
    """What a generator says of a tile, on the map's grid.

    Attributes
    ----------
    density
        (markers, k, k) cells/mm², ≥ 0.
    error
        (markers, k, k) standard error, cells/mm², of the density of the region of 128 µm centred
        on a pixel; 1.645 of it either way hold nine in ten of what another section shows. NaN
        where the generator gives none.
    features
        (f, k, k) by which a slide unlike those of training is told.
    """

    density: Floats32
    error: Floats32
    features: Floats32


@dataclass(frozen=True, kw_only=True)
class SlideTile:
    """A tile of a slide that is to be painted.

    Attributes
    ----------
    row, column
        Of its first pixel on the map's grid; below 0 where a margin reaches beyond the slide.
    rows, columns
        Its size on that grid.
    read
        Its pixels at the generator's resolution, over white glass; read only when asked for.
    """

    row: int
    column: int
    rows: int
    columns: int
    read: Callable[[], npt.NDArray[np.uint8]]


TilePainter = Callable[[SlideTile], PaintedTile]


class PaintsPixels(ABC):
    """What paints every tile from its own pixels, without a look at the whole slide."""

    def on(
        self, slide: SlideReader, tissue: npt.NDArray[np.bool_], tissue_mpp: float
    ) -> TilePainter:
        """Every tile is painted from its own pixels."""
        return lambda tile: self.paint_tile(tile.read())

    @abstractmethod
    def paint_tile(self, rgb: npt.NDArray[np.uint8]) -> PaintedTile:
        """Paint (h, w, 3) pixels over white glass; sides multiples of ``step_px``."""


@runtime_checkable
class Generator(Protocol):
    """Paints marker densities on H&E.

    Attributes
    ----------
    markers
        Planes of its maps.
    spacing_um, mpp
        Side of a pixel of the map, and of the H&E.
    step_px
        Tiles have sides of a multiple of this many pixels.
    identity
        sha256 of the weights.
    trained_on
        Pseudonyms of every patient of whom it saw anything, held-out ones included.
    outliers
        What its training slides look like; None where nobody knows.
    """

    markers: tuple[str, ...]
    spacing_um: float
    mpp: float
    step_px: int
    identity: str
    trained_on: frozenset[str]
    outliers: OutlierModel | None

    def on(
        self, slide: SlideReader, tissue: npt.NDArray[np.bool_], tissue_mpp: float
    ) -> TilePainter:
        """What paints the tiles of an open slide, after all that has to be known of the whole."""
        ...


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What `train_generator` hands over to be written.

    Attributes
    ----------
    tensors
        Name → array: weights of the members, calibration, outliers.
    markers
        Planes.
    settings
        Of network and training.
    trained_on
        Pseudonyms.
    story
        What the model card tells: centres, tiles, held-out figures; plain data.
    """

    tensors: Mapping[str, npt.NDArray[Any]]
    markers: tuple[str, ...]
    settings: GeneratorSettings
    trained_on: frozenset[str]
    story: Mapping[str, Any]


def write_generator(trained: Trained, folder: Path) -> None:
    """Write a generator's folder; the same training gives the same bytes."""
    from safetensors.numpy import save_file

    card = {
        "format": FORMAT,
        "markers": list(trained.markers),
        "settings": trained.settings.as_json(),
        "trained_on": sorted(trained.trained_on),
        "story": dict(trained.story),
    }
    card = json.loads(json.dumps(card))  # tuples as lists, as they are read back
    tensors = {n: np.ascontiguousarray(a) for n, a in sorted(trained.tensors.items())}
    save_file(tensors, folder / WEIGHTS, metadata={"card_sha256": hash_json(card)})
    sealed = card | {"weights_sha256": hash_file(folder / WEIGHTS)}
    text = json.dumps(sealed, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
    (folder / MODEL_CARD).write_text(model_card(sealed), encoding="utf-8")


def load_generator(
    folder: Path, *, sha256: str | None = None, device: Literal["auto", "cpu", "cuda"] = "auto"
) -> TrainedGenerator:
    """Read a generator that metasight trained.

    Parameters
    ----------
    folder
        Written by `train_generator`.
    sha256
        Identity that it must have, where the caller knows it.
    device
        To paint on; ``auto`` takes a GPU where there is one.

    Raises
    ------
    MarkerError
        A file is missing or damaged, the weights are not those that the card names, or not the
        ones asked for.
    """
    from safetensors import SafetensorError, safe_open

    from metasight.maps.trained_generator import TrainedGenerator

    card = _read_card(folder)
    try:
        found = hash_file(folder / WEIGHTS)
    except OSError as error:
        raise MarkerError(
            "the generator has no weights", where=folder.name, remedy="Train it again"
        ) from error
    for wanted, by in ((card["weights_sha256"], "its card"), (sha256, "the study")):
        if wanted is not None and found != wanted:
            raise MarkerError(
                f"the generator's weights are not those that {by} names",
                where=folder.name,
                value=f"sha256 {found[:12]}… instead of {str(wanted)[:12]}…",
                remedy="Copy the folder again, or train it again",
            )
    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            stated = (file.metadata() or {}).get("card_sha256")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise MarkerError(
            "the generator's weights cannot be read", where=folder.name, value=type(error).__name__
        ) from error
    if stated != hash_json({k: v for k, v in card.items() if k != "weights_sha256"}):
        raise MarkerError(
            "the generator's card was changed after training",
            where=folder.name,
            remedy="Copy the folder again: its list of training patients can no longer be verified",
        )
    return TrainedGenerator.of(
        tensors,
        markers=tuple(card["markers"]),
        identity=found,
        settings=replace(GeneratorSettings.from_json(card["settings"]), device=device),
        trained_on=frozenset(card["trained_on"]),
    )


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MarkerError(
            "the generator's card cannot be read",
            where=folder.name,
            value=type(error).__name__,
            remedy="Give a folder that metasight wrote",
        ) from error
    wanted = {"format", "markers", "settings", "trained_on", "story", "weights_sha256"}
    if not isinstance(card, dict) or card.get("format") != FORMAT or set(card) != wanted:
        raise MarkerError(
            "not a generator of metasight", where=folder.name, remedy=f"Expected {FORMAT}"
        )
    return card


def refuse_seen(generator: Generator, patients: Collection[str]) -> None:
    """Refuse a generator that has seen any of ``patients``.

    Raises
    ------
    LeakageError
        It has; how many, never who.
    """
    seen = generator.trained_on.intersection(patients)
    if seen:
        raise LeakageError(
            "a map was to be painted by a generator that learnt from the same patient",
            value=f"{len(seen)} of {len(patients)}",
            remedy="Use the generator of the fold that leaves the patient out",
        )


def model_card(card: Mapping[str, Any]) -> str:
    """Text for people: what it is, what it learnt from, what it may be used for."""
    story: Mapping[str, Any] = card["story"]
    lines = [
        "# Generator of spatial pathological maps",
        "",
        "Research software, not a medical device. Paints "
        f"{', '.join(card['markers'])} (cells/mm²) from H&E.",
        "",
        f"- weights: sha256 `{card['weights_sha256']}`",
        f"- learnt from {len(card['trained_on'])} patients, {story.get('tiles')} tiles; "
        f"{story.get('held_out_patients')} of the patients were held out of a network to stop and "
        "calibrate it",
        f"- {story.get('centres_text')}",
        f"- seed {story.get('seed')}, best after steps {story.get('best_steps')}",
        "",
        "| marker | patients | held-out Pearson, "
        f"{max(card['settings']['region_um']):g} µm | error scaled by |",
        "|---|---|---|---|",
    ]
    for row in story.get("markers", []):
        pearson = "–" if row["pearson"] is None else f"{row['pearson']:.3f}"
        lines.append(
            f"| {row['marker']} | {row['patients']} | {pearson} | {row['error_factor']:.2f} |"
        )
    lines += [
        "",
        "A painted density is an estimate for regions of 64–128 µm. It does not identify single "
        "cells, it replaces "
        "no stain, and on a slide that is flagged as unlike those above it is worth nothing.",
        "",
    ]
    return "\n".join(lines)

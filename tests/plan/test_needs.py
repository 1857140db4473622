"""What a study needs is looked for before anything is measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.errors import MetasightError
from metasight.features import encoders
from metasight.models.registry import is_network
from metasight.models.settings import ModelSettings
from metasight.plan import needs
from metasight.study.file import read_study

SLIDES = '\n[slides]\npath = "slides.csv"\nid = "id"\n'


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda name: None if name == "torch" else object())


def refused(folder: Path) -> str:
    with pytest.raises(MetasightError) as raised:
        pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    assert not (folder / ".metasight" / "store").exists()
    return str(raised.value)


@pytest.mark.parametrize("part", ["[slides.maps]\nfolds = 2", "[slides.embeddings]"])
def test_maps_and_embeddings_need_torch_before_slides_are_measured(
    breast_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    folder = breast_study()
    path = folder / "study.toml"
    path.write_text(f"{path.read_text('utf-8')}{SLIDES}\n{part}\n", "utf-8")
    no_torch(monkeypatch)
    said = refused(folder)
    assert part.split("\n", 1)[0] in said
    assert "torch" in said
    assert "pip install" in said


@pytest.mark.parametrize("full", ["study", "temporary"])
def test_a_full_disk_is_told_before_anything_runs(
    breast_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    folder = breast_study()

    def free(place: Path) -> Usage:
        own = Path(place) == folder
        return Usage(100, 0, 0 if own == (full == "study") else 2**40)

    monkeypatch.setattr(shutil, "disk_usage", free)
    said = refused(folder)
    assert ("the study's folder" if full == "study" else "temporary files") in said
    assert needs.LEAST_BYTES > 0


def test_networks_are_known_by_kind_and_by_what_a_stacked_model_reads() -> None:
    def model(kind: str, *modalities: str) -> ModelSettings:
        return ModelSettings.model_validate(
            {"kind": kind, "name": "x", "modalities": modalities or ("clinical",)}
        )

    assert not is_network(model("elastic_net_cox"))
    assert is_network(model("attention_mil", "embedding"))
    assert is_network(model("scan_network", "scan_network"))
    assert is_network(model("stacked", "clinical", "scan_network"))

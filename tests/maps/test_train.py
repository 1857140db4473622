"""Training: a kill changes nothing, files vouch for themselves, and what is painted is right."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.numpy import load_file

from maps.painted_sections import MARKERS, made_up, tile_files, write_slide
from metasight.errors import LeakageError, MarkerError
from metasight.maps import train
from metasight.maps.agreement import agree
from metasight.maps.density import density_from_cells
from metasight.maps.generator import CARD, WEIGHTS, Generator, load_generator
from metasight.maps.generator_calibration import calibrate
from metasight.maps.generator_folds import inner_splits, survey
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.predict import GeneratedMap, paint
from metasight.maps.regions import regions_of
from metasight.maps.train import train_generator
from metasight.maps.training_checkpoint import NAME
from metasight.maps.training_tiles import load_tiles, save_tiles
from metasight.maps.window import TissueWindow
from metasight.slides.opening import open_slide

SMALL = GeneratorSettings(
    width=8, depth=2, steps=9, round_steps=3, batch=2, members=2, device="cpu"
)
OF_PIXELS = replace(SMALL, reads="pixels")
SIDE_UM = 1024
WHOLE = np.ones((SIDE_UM // 16, SIDE_UM // 16), bool)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine take many times as long as one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tile_files(tmp_path_factory.mktemp("few"), 3, side_um=512)


@pytest.fixture(scope="module")
def undisturbed(few: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("undisturbed")
    train_generator(few, SMALL, seed=7, work=work, centres=dict.fromkeys(few, "North"))
    return work


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    settings = GeneratorSettings(steps=150, members=2, device="cpu")
    train_generator(tile_files(folder, 7, side_um=SIDE_UM), settings, seed=1, work=folder / "g")
    return folder / "g"


class KillError(Exception):
    """Ends a training after a round, when its checkpoint is written."""


@pytest.mark.parametrize(("settings", "after"), [(SMALL, 1), (SMALL, 4), (OF_PIXELS, 4)])
def test_killed_and_resumed_gives_the_same_bytes(
    few: dict[str, Path], tmp_path: Path, settings: GeneratorSettings, after: int
) -> None:
    wanted_in = tmp_path / "undisturbed"
    train_generator(few, settings, seed=7, work=wanted_in)
    tmp_path = tmp_path / "killed"

    def kill(done: int, _: int, __: str) -> None:
        if done == after:
            raise KillError

    with pytest.raises(KillError):
        train_generator(few, settings, seed=7, work=tmp_path, progress=kill)
    assert (tmp_path / NAME).is_file()
    assert not (tmp_path / WEIGHTS).is_file()
    resumed: list[int] = []
    train_generator(
        few, settings, seed=7, work=tmp_path, progress=lambda d, _, __: resumed.append(d)
    )
    assert resumed[0] == after + 1
    assert (tmp_path / WEIGHTS).read_bytes() != b""
    _, tensors = _numbers(tmp_path)
    _, wanted = _numbers(wanted_in)
    assert tensors.keys() == wanted.keys()
    assert all(np.array_equal(tensors[n], wanted[n]) for n in wanted)


CHILD = """
import json, sys
from pathlib import Path
import torch
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.train import train_generator
torch.set_num_threads(1)
told = json.loads(sys.argv[1])
train_generator({n: Path(p) for n, p in told["tiles"].items()},
                GeneratorSettings.from_json(told["settings"]), seed=7, work=Path(told["work"]),
                progress=lambda done, _, __: print(done, flush=True))
"""


def test_killed_by_sigkill_within_a_round_gives_the_same_bytes(
    few: dict[str, Path], undisturbed: Path, tmp_path: Path
) -> None:
    told = {
        "tiles": {n: str(p) for n, p in few.items()},
        "settings": SMALL.as_json(),
        "work": str(tmp_path),
    }
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(told)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"
        time.sleep(0.02)  # into the next round
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / WEIGHTS).is_file()
    train_generator(few, SMALL, seed=7, work=tmp_path)
    _, tensors = _numbers(tmp_path)
    _, wanted = _numbers(undisturbed)
    assert all(np.array_equal(tensors[n], wanted[n]) for n in wanted)


def _numbers(folder: Path) -> tuple[dict, dict[str, np.ndarray]]:
    return json.loads((folder / CARD).read_text()), load_file(folder / WEIGHTS)


def test_another_seed_gives_other_weights_and_its_checkpoint_is_refused(
    few: dict[str, Path], tmp_path: Path
) -> None:
    def kill(*_: object) -> None:
        raise KillError

    with pytest.raises(KillError):
        train_generator(few, SMALL, seed=8, work=tmp_path, progress=kill)
    with pytest.raises(MarkerError, match="checkpoint is of a training with other"):
        train_generator(few, SMALL, seed=9, work=tmp_path)
    (tmp_path / NAME).write_bytes(b"damaged")
    with pytest.raises(MarkerError, match="checkpoint cannot be read"):
        train_generator(few, SMALL, seed=8, work=tmp_path)


def test_the_card_says_what_was_seen(undisturbed: Path, few: dict[str, Path]) -> None:
    card, _ = _numbers(undisturbed)
    assert card["trained_on"] == sorted(few)
    text = (undisturbed / "model_card.md").read_text("utf-8")
    assert "one only" in text
    assert "not a medical device" in text
    assert load_generator(undisturbed).trained_on == frozenset(few)


def test_changed_files_are_refused(undisturbed: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path in undisturbed.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        return folder

    generator = load_generator(undisturbed)
    with pytest.raises(MarkerError, match="not those that the study names"):
        load_generator(undisturbed, sha256="0" * 64)
    assert load_generator(undisturbed, sha256=generator.identity).identity == generator.identity
    damaged = copy("damaged")
    weights = bytearray((damaged / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (damaged / WEIGHTS).write_bytes(weights)
    with pytest.raises(MarkerError, match="not those that its card names"):
        load_generator(damaged)
    forged = copy("forged")
    card = json.loads((forged / CARD).read_text("utf-8"))
    (forged / CARD).write_text(json.dumps(card | {"trained_on": []}))
    with pytest.raises(MarkerError, match="changed after training"):
        load_generator(forged)
    (forged / CARD).write_text("{}")
    with pytest.raises(MarkerError, match="not a generator"):
        load_generator(forged)
    (damaged / WEIGHTS).unlink()
    with pytest.raises(MarkerError, match="no weights"):
        load_generator(damaged)


def test_early_stopping_ends_training(few: dict[str, Path], tmp_path: Path) -> None:
    # so large a step that nothing is learnt: the first round or so stays the best
    settings = GeneratorSettings(
        width=4,
        members=1,
        steps=60,
        round_steps=5,
        patience=1,
        batch=2,
        learning_rate=5.0,
        device="cpu",
    )
    rounds: list[int] = []
    train_generator(
        few,
        settings,
        seed=1,
        work=tmp_path,
        markers=["CD3"],
        progress=lambda d, _, __: rounds.append(d),
    )
    card, _ = _numbers(tmp_path)
    assert len(rounds) == card["story"]["best_steps"][0] // 5 + 1 < 12


def test_pixels_are_learnt_from(few: dict[str, Path], tmp_path: Path) -> None:
    settings = replace(OF_PIXELS, members=1, steps=24, round_steps=8)
    losses: list[float] = []
    train_generator(
        few,
        settings,
        seed=2,
        work=tmp_path,
        progress=lambda _, __, text: losses.append(float(text.split()[-1])),
    )
    assert losses[-1] < losses[0]
    write_slide(made_up(9, 512), tmp_path / "x.tif")
    with open_slide(tmp_path / "x.tif", name="x") as slide:
        found = paint(slide, np.ones((32, 32), bool), 16.0, load_generator(tmp_path))
    assert np.isfinite(found.map.density).all()


def test_members_are_calibrated_on_the_patients_that_they_held_out(
    few: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[list[str]]] = []

    def noted(members, bank, held, settings):
        seen.append(held)
        return calibrate(members, bank, held, settings)

    monkeypatch.setattr(train, "calibrate", noted)
    train_generator(few, SMALL, seed=7, work=tmp_path)
    splits = inner_splits(survey(few, None, 1.0), SMALL.held_out, SMALL.members, 7)
    assert seen == [[held for _, held in splits]]
    assert not any(set(learn) & set(held) for learn, held in splits)


def test_nuclei_that_were_not_collected_are_missed(few: dict[str, Path], tmp_path: Path) -> None:
    files = {}
    for name, path in few.items():
        files[name] = tmp_path / path.name
        save_tiles(replace(load_tiles(path), nuclei=None), files[name])
    with pytest.raises(MarkerError, match=r"hold no nuclei.*Collect the tiles again"):
        train_generator(files, SMALL, seed=7, work=tmp_path / "g")


# ------------------------------------------------------------------ painting


def painted(trained: Path, tmp_path: Path, seed: int, **kind: object) -> GeneratedMap:
    path = tmp_path / f"{seed}.tif"
    write_slide(made_up(seed, SIDE_UM, **kind), path)
    with open_slide(path, name="slide") as slide:
        return paint(slide, WHOLE, 16.0, load_generator(trained), patients=["new"])


def test_unseen_patients_are_painted_well_and_strange_slides_flagged(
    trained: Path, tmp_path: Path
) -> None:
    window = TissueWindow(mask=WHOLE, spacing_um=16.0)
    regions: dict[str, list] = {m: [] for m in MARKERS}
    usual, strange = [], []
    for seed in range(100, 104):
        found = painted(trained, tmp_path, seed, shift_um=10.0)
        usual.append(found.outlier.score)
        strange.append(painted(trained, tmp_path, seed, other=True).outlier)
        measured = density_from_cells(made_up(seed, SIDE_UM, 10.0).cells, window)
        for marker in MARKERS:
            regions[marker].append(
                regions_of(str(seed), found.map, measured, marker, region_um=128, p90_um=10)
            )
    told = {m: agree(m, r, threshold_per_mm2=500, seed=1, resamples=20) for m, r in regions.items()}
    assert told["Pan-CK"].pearson.value > 0.85
    for a in (told["Pan-CK"], told["CD3"]):
        assert a.pearson.value > a.pearson_swapped + 0.3
    assert 0.7 < np.mean([a.covered.value for a in told.values()]) <= 1
    assert min(s.score for s in strange) > max(usual)
    assert all(s.flagged for s in strange)


def test_painting_is_the_same_wherever_the_tiles_begin(trained: Path, tmp_path: Path) -> None:
    """Seams: the same tissue 512 µm further along the slide falls on other tiles."""
    patient = made_up(5, SIDE_UM)
    glass = np.full((SIDE_UM, 512, 3), 245, np.uint8)
    maps = []
    for name, parts in (("near", (patient.rgb, glass)), ("far", (glass, patient.rgb))):
        rgb = np.concatenate(parts, axis=1)
        tifffile.imwrite(
            tmp_path / f"{name}.tif",
            rgb,
            tile=(256, 256),
            photometric="rgb",
            resolution=(1e4, 1e4),
            resolutionunit="CENTIMETER",
            metadata=None,
        )
        tissue = np.ones((64, rgb.shape[1] // 16), bool)
        with open_slide(tmp_path / f"{name}.tif", name=name) as slide:
            maps.append(paint(slide, tissue, 16.0, load_generator(trained)).map.density)
    near, far = maps[0][:, 8:-8, 8:56], maps[1][:, 8:-8, 32 + 8 : -8]
    k = 48 // 8
    a, b = (m.reshape(3, k, 8, k, 8).mean(axis=(2, 4)) for m in (near, far))
    # regions of 128 µm, in the range that the marker has on the slide
    assert (np.abs(a - b) / np.ptp(a, axis=(1, 2), keepdims=True)).max() < 0.03


def test_a_generator_that_saw_the_patient_is_refused(trained: Path, tmp_path: Path) -> None:
    generator = load_generator(trained)
    assert isinstance(generator, Generator)
    write_slide(made_up(1, 512), tmp_path / "x.tif")
    with open_slide(tmp_path / "x.tif", name="x") as slide:
        with pytest.raises(LeakageError) as refused:
            paint(slide, np.ones((32, 32), bool), 16.0, generator, patients=["P03"])
        assert "P03" not in str(refused.value)
        with pytest.raises(MarkerError, match="no tissue"):
            paint(slide, np.zeros((32, 32), bool), 16.0, generator)
        narrow = np.zeros((32, 32), bool)
        narrow[4:20, 3:30] = True
        found = paint(slide, narrow, 16.0, generator).map
    assert np.array_equal(found.support, narrow)

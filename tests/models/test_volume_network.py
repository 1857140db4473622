"""The network over crops: it finds what was planted, nothing in nothing, and goes on if killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from lesion_crops import N, cohort, crop_of
from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.cohort.splits import Split
from metasight.errors import EncoderError, FitError, StoreError, VolumeError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.crops import CropFolder, write_crop
from metasight.features.images import ImageFolders
from metasight.models import crossfit
from metasight.models.fusion import contributions
from metasight.models.registry import ModelSettings, build, features_of, load
from metasight.models.volume_network_backbone import empty_resnet
from metasight.models.volume_network_layers import (
    SmallTrunk,
)
from metasight.validation.binary import binary_auc

NONE = np.array([], dtype=np.int64)
QUICK = {"width": 4, "rounds": 10, "round_steps": 8, "learning_rate": 1.5e-2}
TRAIN, LATER = slice(0, 63), slice(63, None)


def take(table: FeatureTable, outcome: NodalOutcome, rows: slice):
    own = np.arange(len(outcome))[rows]
    return FeatureTable(table.values.iloc[own], table.features), outcome.take(own)


def settings(kind: str = "scan_network", **changes: object) -> ModelSettings:
    modalities = ("scan_network",) if kind == "scan_network" else ("clinical", "scan_network")
    return ModelSettings(
        kind=kind,
        name="3-D",
        modalities=modalities,
        inner_folds=3,
        scan_network={**QUICK, **changes},
    )


def auc(model, table: FeatureTable, outcome: NodalOutcome) -> float:
    risk = 1 - model.predict(table, NONE)[:, 0]
    seen = outcome.observed
    return binary_auc(risk[seen], (outcome.stage[seen] > 0).astype(int)).auc


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")


@pytest.fixture(scope="module")
def made(folder: Path):
    return cohort(folder)


@pytest.fixture(scope="module")
def images(folder: Path, made) -> ImageFolders:
    return ImageFolders(crops=CropFolder(folder))


@pytest.fixture(scope="module")
def fitted(made, images: ImageFolders):
    return build(settings(), images).fit(*take(*made, TRAIN), seed=1)


def test_planted_texture_is_found_in_unseen_patients(made, images, fitted):
    test, later = take(*made, LATER)
    assert auc(fitted, test, later) > 0.75
    risk = fitted.predict(made[0], NONE)
    assert risk.shape == (N, 3)  # patients whose nodes nobody examined are predicted too
    np.testing.assert_allclose(risk.sum(axis=1), 1.0)
    assert (risk >= 0).all()
    again = load(json.loads(json.dumps(fitted.state)), images)
    np.testing.assert_array_equal(again.predict(test, NONE), fitted.predict(test, NONE))
    assert features_of(fitted.state) == {"crops"}
    assert len(json.dumps(fitted.state)) < 2_000_000


def test_the_outcome_dealt_out_at_random_teaches_nothing(made, images):
    train, known = take(*made, TRAIN)
    dealt = NodalOutcome(np.random.default_rng(2).permutation(known.stage))
    fitted = build(settings(rounds=6), images).fit(train, dealt, seed=1)
    test, later = take(*made, LATER)
    assert fitted.predict(test, NONE)[:, 0].std() < 0.08
    assert abs(auc(fitted, test, later) - 0.5) < 0.2
    assert fitted.head.coefficients[0] < 0.3


def test_unexamined_patients_are_never_learnt_from_and_rows_may_come_in_any_order(made, images):
    table, outcome = take(*made, slice(0, 36))
    quick = settings(rounds=2)
    first = build(quick, images).fit(table, outcome, seed=1)
    examined, known = take(table, outcome, slice(3, None))
    back = np.arange(len(known))[::-1]
    again = build(quick, images).fit(
        FeatureTable(examined.values.iloc[back], table.features), known.take(back), seed=1
    )
    assert json.dumps(first.state) == json.dumps(again.state)


def test_what_is_learnt_does_not_depend_on_test_patients_or_threads(made, images):
    table, outcome = made
    names = list(table.values.index)
    index = table.values.index
    data = crossfit.Data(
        tuple(names),
        table,
        outcome,
        pd.Series("A", index=index),
        pd.Series("surgery", index=index),
        "nodal_stage",
    )
    split = Split(
        scheme="kfold",
        repeat=0,
        fold=0,
        train=tuple(names[:36]),
        test=tuple(names[36:]),
        held_out="",
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    true, spoilt = crossfit.corrupt_test_rows_check(
        build(settings(rounds=2), images), data, split, seed=1
    )
    torch.set_num_threads(threads)
    assert true == spoilt
    assert data.features.values["crops"].notna().all()
    assert crossfit.corrupt(data, names[36:]).features.values["crops"].isna().sum() == N - 36


def test_a_patient_without_a_crop_is_average_and_one_without_pet_is_read(made, images, fitted):
    table = made[0]
    values = table.values.iloc[:4].copy()
    values.loc["P000", "crops"] = None
    lacking = FeatureTable(values, table.features)
    scores = fitted.reader.matrix(lacking)[:, 0]
    assert scores[0] == 0.0
    crops = [images.crops.read(k) for k in ("P000", "P001", "P002")]
    with_pet = [c for c in crops if c.suv is not None]
    assert len(with_pet) == 2
    without = [replace(c, suv=None) for c in with_pet]
    both = fitted.reader.scores(with_pet) - fitted.reader.scores(without)
    everybody = fitted.reader.scores([images.crops.read(k) for k in table.values["crops"]])
    assert np.abs(both).max() < 2 * everybody.std()  # PET tells nothing here


def test_in_a_stack_the_network_adds_what_it_learnt(made, images):
    train, known = take(*made, TRAIN)
    train.values.iloc[10:14, 0] = None  # the stack is fitted for patients without a scan too
    stack = build(settings("stacked"), images).fit(train, known, seed=1)
    test, later = take(*made, LATER)
    assert auc(stack, test, later) > 0.7
    parts = contributions(stack, test)
    assert parts["scan_network"].std() > 0
    assert auc(load(stack.state, images), test, later) == auc(stack, test, later)


GO = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/models"]
from pathlib import Path
from test_volume_network import *
from lesion_crops import cohort_of
folder, work = Path(sys.argv[2]), Path(sys.argv[3])
images = ImageFolders(crops=CropFolder(folder), work=work)
build(settings(rounds=4), images).fit(*take(*cohort_of(folder), slice(0, 36)), seed=1)
"""


def test_a_killed_training_goes_on_to_the_same_bytes(made, images, folder, tmp_path):
    table, outcome = made
    here = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", GO, here, str(folder), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    end = time.monotonic() + 120
    while not list(tmp_path.glob("training-*.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = list(tmp_path.glob("training-*.safetensors"))
    assert len(left) == 1
    quick, part = settings(rounds=4), take(table, outcome, slice(0, 36))
    resumed = build(quick, replace(images, work=tmp_path)).fit(*part, seed=1)
    straight = build(quick, images).fit(*part, seed=1)
    assert json.dumps(resumed.state) == json.dumps(straight.state)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_damaged_checkpoint_is_refused_and_another_trainings_is_left_alone(
    made, images, tmp_path
):
    from metasight.models.volume_network_checkpoint import (
        Resumed,
        checkpoint_path,
        load_checkpoint,
        save_checkpoint,
    )

    part = take(*made, slice(0, 36))
    other = tmp_path / "training-0123456789abcdef.safetensors"
    other.write_bytes(b"another")
    build(settings(rounds=1), replace(images, work=tmp_path)).fit(*part, seed=1)
    assert other.read_bytes() == b"another"
    with pytest.raises(StoreError, match="checkpoint cannot be read"):
        load_checkpoint(tmp_path, "0123456789abcdef")
    resumed = Resumed(tensors={"a": torch.ones(2)}, losses=(1.0, 0.5), best=1)
    save_checkpoint(tmp_path, "f" * 64, resumed)
    found = load_checkpoint(tmp_path, "f" * 64)
    assert found is not None
    assert found.losses == (1.0, 0.5)
    os.rename(checkpoint_path(tmp_path, "f" * 64), checkpoint_path(tmp_path, "e" * 64))
    with pytest.raises(StoreError, match="another training"):
        load_checkpoint(tmp_path, "e" * 64)


# ------------------------------------------------------------------ backbones


def file_of(folder: Path, weights: dict[str, torch.Tensor]) -> tuple[Path, str]:
    path = folder / "weights.safetensors"
    save_file(weights, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def with_weights(backbone: str, path: Path, sha256: str) -> ModelSettings:
    return settings(backbone=backbone, rounds=2, weights={"path": path.name, "sha256": sha256})


def test_a_small_trunk_begins_with_the_weights_given(made, images, tmp_path):
    torch.manual_seed(5)
    trunk = SmallTrunk(4)
    path, sha = file_of(tmp_path, trunk.state_dict())
    given = replace(images, weights={sha: path})
    part = take(*made, slice(0, 36))
    asked = with_weights("small", path, sha)
    begun = build(asked, given).fit(*part, seed=1).state
    assert (
        begun["reader"]["weights"]
        != build(settings(rounds=2), images).fit(*part, seed=1).state["reader"]["weights"]
    )
    with pytest.raises(EncoderError, match="not given"):
        build(asked, images).fit(*part, seed=1)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(EncoderError, match="not the one that the study names"):
        build(asked, given).fit(*part, seed=1)


@pytest.mark.parametrize("change", ["name", "shape", "number"])
def test_weights_of_another_network_are_refused(made, images, tmp_path, change):
    weights = dict(SmallTrunk(4).state_dict())
    first = next(iter(weights))
    if change == "name":
        weights["other"] = weights.pop(first)
    elif change == "shape":
        weights[first] = weights[first][:2].clone()
    else:
        weights[first] = weights[first] * float("nan")
    path, sha = file_of(tmp_path, weights)
    model = build(with_weights("small", path, sha), replace(images, weights={sha: path}))
    with pytest.raises(EncoderError, match=r"backbone|no number"):
        model.fit(*take(*made, slice(0, 36)), seed=1)


def test_a_published_backbone_stays_as_it_is_and_its_file_is_needed_to_predict(
    made, images, tmp_path
):
    torch.manual_seed(3)
    weights = {f"module.{n}": v for n, v in empty_resnet("resnet10").state_dict().items()}
    weights["module.conv_seg.0.weight"] = torch.ones(3)  # a last layer is not used
    path, sha = file_of(tmp_path, weights)
    given = replace(images, weights={sha: path})
    table, outcome = take(*made, slice(0, 36))
    fitted = build(with_weights("resnet10", path, sha), given).fit(table, outcome, seed=1)
    names = fitted.state["reader"]["weights"][0]
    assert not any(n.startswith("trunk") for n in names)
    few = FeatureTable(table.values.iloc[:3], table.features)
    again = load(json.loads(json.dumps(fitted.state)), given)
    np.testing.assert_array_equal(again.predict(few, NONE), fitted.predict(few, NONE))
    with pytest.raises(EncoderError, match="not given"):
        load(fitted.state, images).predict(few, NONE)


def test_a_published_backbone_needs_weights_in_the_study():
    with pytest.raises(ValueError, match="needs weights"):
        settings(backbone="resnet18")


def test_a_centre_that_scans_with_more_noise_is_told_from_crops(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"P{i:03d}" for i in range(30)]
    for i, name in enumerate(names):
        crop = crop_of(rng, 0.0, pet=False)
        noise = rng.normal(0, 60 * (i % 2), crop.ct_hu.shape)
        write_crop(
            replace(crop, ct_hu=(crop.ct_hu + noise).astype(np.int16)), tmp_path / f"{name}.h5"
        )
    index = pd.Index(names, name="patient")
    values = pd.DataFrame({"crops": pd.Series(names, index=index, dtype=object)})
    table = FeatureTable(values, (Feature(name="crops", kind=Kind.CROP, modality="scan_network"),))
    centre = pd.Series([f"C{i % 2}" for i in range(30)], index=index)
    outcome = NodalOutcome((np.arange(30) % 3).astype(np.int8))
    data = crossfit.Data(tuple(names), table, outcome, centre, centre, "nodal_stage")
    split = Split(
        scheme="kfold",
        repeat=0,
        fold=0,
        train=tuple(names[:20]),
        test=tuple(names[20:]),
        held_out="",
    )
    images = ImageFolders(crops=CropFolder(tmp_path))
    told = crossfit.predict_centre(data, [split], images)["C1"]
    assert binary_auc(told, (centre[told.index] == "C1").astype(int)).auc > 0.95


def test_a_score_of_columns_reads_its_own_beside_crops(made):
    table, outcome = made
    size = Feature(name="tumour_size_mm", kind=Kind.CONTINUOUS, unit="mm")
    values = table.values.assign(tumour_size_mm=np.linspace(8, 30, N))
    beside = FeatureTable(values, (*table.features, size))
    score = build(ModelSettings(kind="nodal_size", name="size")).fit(beside, outcome, seed=1)
    assert score.predict(beside, NONE).shape == (N, 3)


# ------------------------------------------------------------------ what is refused


def test_what_cannot_be_learnt_is_refused(made, images, tmp_path):
    table, outcome = made
    model = build(settings(), images)
    with pytest.raises(FitError, match="too few for a network"):
        model.fit(*take(table, outcome, slice(0, 12)), seed=1)
    follow_up = SurvivalOutcome(np.arange(1.0, N + 1), np.ones(N, dtype=np.int8))
    with pytest.raises(FitError, match="nodal stage"):
        model.fit(table, follow_up, seed=1)
    none = FeatureTable(table.values.assign(crops=None), table.features)
    with pytest.raises(FitError, match="too few"):
        model.fit(none, outcome, seed=1)
    with pytest.raises(FitError, match="crops of lesions"):
        build(ModelSettings(kind="ordinal", name="o", modalities=("scan_network",))).fit(
            table, outcome, seed=1
        )
    with pytest.raises(VolumeError, match="no folder of crops"):
        build(settings()).fit(table, outcome, seed=1)
    with pytest.raises(ValueError, match="reads the modality scan_network alone"):
        ModelSettings(kind="scan_network", name="a", modalities=("clinical",))
    assert tmp_path.exists()


def test_a_crop_of_another_size_is_refused(made, fitted, tmp_path):
    small = crop_of(np.random.default_rng(0), 0.0, pet=False, edge=24)
    write_crop(small, tmp_path / "P000.h5")
    other = load(fitted.state, ImageFolders(crops=CropFolder(tmp_path)))
    with pytest.raises(VolumeError, match="the crop size differs"):
        other.predict(FeatureTable(made[0].values.iloc[:1], made[0].features), NONE)

"""A study from tables to results: deterministic, resumable, complete."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from metasight import bundle, pipeline
from metasight.cli import main
from metasight.engine.progress import Silent
from metasight.ledger import Ledger
from metasight.predictions import Predictions
from metasight.study.file import read_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory, made_up):
    """One study, run once in this process."""
    from metasight.engine.store import Store

    folder = tmp_path_factory.mktemp("finished") / "study"
    build(folder, made_up)
    study = read_study(folder)
    results, ran = pipeline.run(study, scheduler="inline", progress=Silent())
    assert ran
    assert Store(study.store).root.is_dir()
    return folder, results


def build(folder: Path, made_up) -> None:
    table, text = made_up
    folder.mkdir(parents=True)
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "study.toml").write_text(text)


def test_results_are_complete(finished):
    folder, results = finished
    assert (folder / "results" / "latest").resolve() == results.resolve()
    for name in (
        "report.html",
        "report.pdf",
        "predictions.parquet",
        "ledger.parquet",
        "features.parquet",
        "manifest.json",
        "bundle/bundle.json",
    ):
        assert (results / name).is_file(), name
    predictions = Predictions.from_parquet(results / "predictions.parquet")
    assert set(predictions.models) == {"clinical", "forest", "NPI", "cause-specific"}
    assert set(predictions.endpoints) == {"dmfs", "distant_metastasis"}
    manifest = json.loads((results / "manifest.json").read_text())
    assert "salt" not in json.dumps(manifest["settings"])


def test_no_other_user_can_enter_results_or_store_or_read_a_file_of_them(finished):
    folder, _ = finished
    for made in (folder / "results", folder / ".metasight"):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        below = [p for p in made.rglob("*") if not p.is_symlink()]
        assert below
        assert [p for p in below if p.stat().st_mode & 0o007] == []


def test_every_patient_has_a_fate_in_the_ledger(finished):
    _, results = finished
    ledger = Ledger.from_parquet(results / "ledger.parquet").to_frame()
    predicted = set(Predictions.from_parquet(results / "predictions.parquet").table["patient"])
    read = set(ledger.loc[ledger["stage"] == "reading", "patient"])
    assert len(read) == 150
    excluded = set(ledger.loc[ledger["verdict"].isin(["excluded", "failed"]), "patient"])
    assert read <= predicted | excluded


def test_nothing_to_do_the_second_time(finished, capsys):
    folder, _ = finished
    begun = time.monotonic()
    main_exit(["run", str(folder), "--scheduler", "inline"])
    assert time.monotonic() - begun < 2.0
    assert "Results are up to date; nothing to do." in capsys.readouterr().out
    main_exit(["run", str(folder), "--dry-run"])
    assert "Results are up to date; nothing to do." in capsys.readouterr().out


def test_a_changed_setting_says_what_runs_again(finished, capsys):
    folder, _ = finished
    path = folder / "study.toml"
    text = path.read_text()
    try:
        path.write_text(text.replace("bootstrap = 100", "bootstrap = 120"))
        main_exit(["run", str(folder), "--dry-run"])
        said = " ".join(capsys.readouterr().out.split())
        assert "bootstrap changed from 100 to 120" in said
        assert "cross-validation" not in said, "fits do not depend on the bootstrap"
    finally:
        path.write_text(text)


def test_bundle_predicts_what_the_final_model_predicts(finished):
    _, results = finished
    loaded = bundle.read(results / "bundle")
    assert loaded.headline_model == "forest"
    assert set(loaded.states) == {"clinical", "forest", "NPI"}
    file = results / "bundle" / "bundle.json"
    text = file.read_text()
    try:
        file.write_text(text.replace('"dmfs"', '"dmfz"'))
        with pytest.raises(Exception, match="a file of the bundle was altered"):
            bundle.read(results / "bundle")
    finally:
        file.write_text(text)


def test_validation_on_an_external_table(finished, breast_study, breast_table, capsys):
    folder, _ = finished
    table = breast_table(n=120, seed=9)
    external = breast_study(table, [("a salt for tests", "another hospital's")], name="external")
    main_exit(["validate", str(folder), str(external)])
    out = capsys.readouterr().out
    assert "report.html" in out
    predictions = Predictions.from_parquet(
        external / "results" / "latest-validation" / "predictions.parquet"
    )
    assert set(predictions.table["fold"]) == {-1}
    ledger = Ledger.from_parquet(
        external / "results" / "latest-validation" / "ledger.parquet"
    ).to_frame()
    opened = ledger[ledger["stage"] == "locked test set"]
    assert opened["value"].tolist() == ["opening 1"]


def main_exit(arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as stop:
        assert not stop.code, stop.code


def command(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "metasight", "run", str(folder), "--scheduler", "local"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


FEWER = (
    ('headline_model = "forest"', 'headline_model = "clinical"'),
    ('[[model]]\nkind = "forest"\nname = "forest"\nn_trees = 20\n', ""),
)
"""Two processes import, compile and run all of it twice: a study as small as one with a fold."""


def test_killed_in_mid_run_and_run_again_gives_the_same_bytes(made_up, tmp_path):
    table, text = made_up
    for more, less in FEWER:
        assert text.count(more) == 1
        text = text.replace(more, less)
    build(tmp_path / "undisturbed", (table, text))
    study = read_study(tmp_path / "undisturbed")
    undisturbed, _ = pipeline.run(study, scheduler="inline", progress=Silent())
    folder = tmp_path / "killed"
    build(folder, (table, text))
    store = folder / ".metasight" / "store"
    process = command(folder)
    deadline = time.monotonic() + 90
    while len(list(store.glob("??/*"))) < 6:
        assert time.monotonic() < deadline
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {p.name for p in store.glob("??/*")}
    assert not (folder / "results").exists()
    again = command(folder)
    assert again.wait(timeout=240) == 0
    assert done <= {p.name for p in store.glob("??/*")}
    for name in ("predictions.parquet", "ledger.parquet", "features.parquet"):
        mine = (folder / "results" / "latest" / name).read_bytes()
        assert mine == (undisturbed / name).read_bytes(), name


def test_features_hold_no_dates(finished):
    _, results = finished
    features = pd.read_parquet(results / "features.parquet")
    assert "surgery_date" not in features

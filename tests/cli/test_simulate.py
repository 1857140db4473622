"""Commands that simulate: options over a settings file, and what is said at the end."""

from __future__ import annotations

import pytest

from metasight.cli import main
from metasight.simulate.breast import cohort as breast
from metasight.simulate.lung import cohort as lung
from metasight.simulate.settings import STAMP


@pytest.fixture
def drawn(monkeypatch):
    """Settings, seed and jobs that a simulator was called with."""
    told = []

    def called(folder, settings, seed, *, jobs, progress):
        told.append((folder, settings, seed, jobs))

    monkeypatch.setattr(breast, "simulate_breast", called)
    monkeypatch.setattr(lung, "simulate_lung", called)
    return told


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["simulate", *arguments])
    return int(stop.value.code or 0)


@pytest.mark.parametrize("kind", ["breast", "lung"])
def test_without_options_there_are_24_patients_and_seed_1(kind, drawn, tmp_path, capsys):
    assert run(kind, str(tmp_path / "s")) == 0
    ((folder, settings, seed, jobs),) = drawn
    assert (folder, settings.patients, seed, jobs) == (tmp_path / "s", 24, 1, 2)
    said = " ".join(capsys.readouterr().out.split())
    assert STAMP in said
    assert f"Truth in {tmp_path / 's' / 'truth'}." in said
    assert f"metasight run {tmp_path / 's'}" in said


def test_an_option_goes_over_the_file_and_the_file_over_the_default(drawn, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("patients = 7\ncentres = 2\n")
    assert run("breast", str(tmp_path / "s"), "--settings", str(file), "--patients", "9") == 0
    ((_, settings, _, _),) = drawn
    assert (settings.patients, settings.centres, settings.tissue_mm) == (9, 2, 2.0)


def test_defects_of_0_are_asked_for_not_left_out(drawn, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("defect_fraction = 0.5\n")
    assert run("lung", str(tmp_path / "s"), "--settings", str(file), "--defects", "0") == 0
    assert drawn[0][1].defect_fraction == 0.0


def test_a_setting_out_of_its_range_is_named(drawn, tmp_path, capsys):
    assert run("breast", str(tmp_path / "s"), "--patients", "0") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the settings of the simulation are wrong" in said
    assert "patients" in said
    assert not drawn


@pytest.mark.parametrize("option", ["--seed", "--jobs"])
def test_a_negative_number_is_a_usage_error(option, drawn, tmp_path):
    assert run("lung", str(tmp_path), option, "-1") == 2
    assert not drawn

"""Patients to predict: what their study.toml says of models and analysis is not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.errors import ProtocolError, StudyError
from metasight.study.new_patients import protocol_of, read_patient_settings


def test_models_and_analysis_are_not_read(breast_study) -> None:
    folder = breast_study(replace=[("folds = 3", "folds = -1"), ('kind = "forest"', 'kind = "x"')])
    settings = read_patient_settings(folder)
    assert settings.columns["age_years"] == "age"
    assert settings.key == "a salt for tests"
    assert not hasattr(settings, "model")


def test_they_need_not_be_there(breast_study) -> None:
    folder = breast_study()
    path = folder / "study.toml"
    text = path.read_text("utf-8")
    path.write_text(text[: text.index("[analysis]")], "utf-8")
    assert read_patient_settings(folder).patients.id == "id"


def test_a_wrong_entry_of_the_tables_is_named(breast_study) -> None:
    folder = breast_study(replace=[('on_problem = "stop"', 'on_problem = "ignore"')])
    with pytest.raises(StudyError, match="on_problem"):
        read_patient_settings(folder)


def test_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no study\.toml.*init"):
        read_patient_settings(tmp_path)


def test_the_protocol_that_is_named_or_none(breast_study) -> None:
    folder = breast_study()
    assert protocol_of(folder).id == "breast-dmfs"
    path = folder / "study.toml"
    text = path.read_text("utf-8")
    path.write_text(text.replace('protocol = "breast-dmfs"', ""), "utf-8")
    assert protocol_of(folder) is None
    path.write_text(text.replace("breast-dmfs", "no-such"), "utf-8")
    with pytest.raises(ProtocolError):
        protocol_of(folder)

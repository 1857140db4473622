"""Settings of a simulator: file, options over it, and refusals that name the entry."""

from __future__ import annotations

import pytest
from pydantic import Field

from metasight.errors import StudyError
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.lung.settings import LungSettings
from metasight.simulate.settings import Part, settings_of


class Cohort(Part):
    patients: int = Field(default=24, ge=1)
    share: float = Field(default=0.5, ge=0, le=1)


def settings(path=None, **given):
    return settings_of(Cohort, path, given, manual="docs/x.md")


def test_options_go_over_the_file_and_the_file_over_defaults(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("patients = 3\nshare = 0.25\n")
    assert settings() == Cohort()
    assert settings(file) == Cohort(patients=3, share=0.25)
    assert settings(file, patients=4) == Cohort(patients=4, share=0.25)


@pytest.mark.parametrize("content", [b"patients = = 3", b"patients = '\xff'", None])
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path, content):
    file = tmp_path / "s.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StudyError, match="cannot be read") as error:
        settings(file)
    assert error.value.where == "s.toml"
    assert "docs/x.md" in error.value.remedy


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"patients": 0}, "patients"),
        ({"share": 1.5}, "share"),
        ({"share": float("nan")}, "share"),
        ({"patents": 3}, "patents"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_named(given, said):
    with pytest.raises(StudyError, match="settings of the simulation are wrong") as error:
        settings(None, **given)
    assert said in error.value.value


def test_settings_do_not_change_once_they_are_read():
    with pytest.raises(ValueError, match="frozen"):
        settings().patients = 3


@pytest.mark.parametrize(("patients", "share"), [(24, 0.5), (60, 0.2), (80, 0.15), (1000, 0.15)])
def test_a_small_cohort_has_events_to_look_at(patients, share):
    """12 events are expected where 15 % would be fewer, but never in more than half."""
    assert BreastSettings(patients=patients).expected_event_share == pytest.approx(share)


def test_an_event_share_that_is_given_stays():
    assert BreastSettings(patients=10, event_share=0.3).expected_event_share == 0.3


@pytest.mark.parametrize("kind", [BreastSettings, LungSettings])
def test_the_key_is_of_the_settings_and_the_seed(kind):
    plain = kind().key(1)
    assert kind().key(1) == plain
    assert len({plain, kind().key(2), kind(patients=25).key(1)}) == 3

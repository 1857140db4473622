"""A crate says what it holds by RO-Crate 1.1, and is read only where it holds exactly that."""

from __future__ import annotations

import json
import os

import pytest

from exchange_made import ALGORITHM, MADE
from metasight.errors import StudyError
from metasight.exchange.crate import (
    METADATA,
    README,
    CrateAbout,
    licence_address,
    read_crate,
    write_crate,
)

ABOUT = CrateAbout(
    title="A study",
    licence="https://creativecommons.org/licenses/by/4.0/",
    algorithm=ALGORITHM,
    protocol="nsclc-occult-node 1 (NCT06684418)",
    versions={"metasight": "0.2.0", "numpy": "2.4.6", "python": "3.11.7"},
    made=MADE,
    with_inputs=True,
)


@pytest.fixture
def crate(tmp_path):
    results = tmp_path / "results"
    (results / "bundle").mkdir(parents=True)
    (results / "predictions.parquet").write_bytes(b"PAR1")
    (results / "bundle" / "hashes.json").write_text("{}")
    (tmp_path / "study.toml").write_text("protocol = 'x'")
    write_crate(
        tmp_path / "crate",
        ABOUT,
        results=results,
        inputs={"study.toml": tmp_path / "study.toml"},
    )
    return tmp_path / "crate"


def graph(crate):
    data = json.loads((crate / METADATA).read_text("utf-8"))
    return {e["@id"]: e for e in data["@graph"]}


def test_the_metadata_are_those_that_the_profile_asks_for(crate) -> None:
    found = graph(crate)
    assert found[METADATA]["conformsTo"]["@id"] == "https://w3id.org/ro/crate/1.1"
    assert found[METADATA]["about"] == {"@id": "./"}
    root = found["./"]
    assert {"name", "description", "datePublished", "license"} <= set(root)
    assert "Research software" in root["description"]
    assert {p["@id"] for p in root["hasPart"]} == {
        i for i, e in found.items() if e["@type"] == "File"
    }
    referred = {p["@id"] for p in (*found["#run"]["object"], *found["#run"]["result"])}
    assert referred <= set(found)
    assert found["#metasight"]["softwareRequirements"] == [{"@id": "#numpy"}, {"@id": "#python"}]
    assert all(len(e["sha256"]) == 64 for e in found.values() if e["@type"] == "File")


def test_names_are_addresses_and_read_back_as_names(tmp_path, crate) -> None:
    results = tmp_path / "odd"
    results.mkdir()
    (results / "größe & 100%.csv").write_text("x")
    write_crate(tmp_path / "odd-crate", ABOUT, results=results, inputs={})
    (ident,) = [i for i in graph(tmp_path / "odd-crate") if i.startswith("results/")]
    assert ident.isascii() and " " not in ident
    assert set(read_crate(tmp_path / "odd-crate").within("results")) == {"größe & 100%.csv"}


def test_a_licence_is_an_address_or_of_spdx(crate) -> None:
    licence = graph(crate)["./"]["license"]["@id"]
    assert graph(crate)[licence]["@type"] == "CreativeWork"
    assert licence_address("CC-BY-4.0") == "https://spdx.org/licenses/CC-BY-4.0"
    with pytest.raises(StudyError, match="neither an address"):
        licence_address("for friends only")


def test_it_reads_back_and_says_how_to_run_it_again(crate) -> None:
    found = read_crate(crate)
    assert found.run == ALGORITHM.run
    assert set(found.within("results")) == {"predictions.parquet", "bundle/hashes.json"}
    assert set(found.within("study")) == {"study.toml"}
    told = (crate / README).read_text("utf-8")
    assert "--rerun" in told and "numpy==2.4.6" in told and "Research software" in told


def altered(crate):
    (crate / "results" / "predictions.parquet").write_bytes(b"PAR2")


def missing(crate):
    (crate / "study" / "study.toml").unlink()


def added(crate):
    (crate / "study" / "more.csv").write_text("x")


def linked(crate):
    (crate / "study" / "study.toml").unlink()
    os.symlink("/etc/hostname", crate / "study" / "study.toml")


@pytest.mark.parametrize("spoil", [altered, missing, added, linked])
def test_a_crate_that_is_not_whole_is_refused(crate, spoil) -> None:
    spoil(crate)
    with pytest.raises(StudyError, match="not whole"):
        read_crate(crate)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a\\x", "%2e%2e/x", "a%2f..%2f../x"]
)
def test_a_path_out_of_the_folder_is_refused(crate, name) -> None:
    data = json.loads((crate / METADATA).read_text("utf-8"))
    data["@graph"][1]["hasPart"].append({"@id": name})
    (crate / METADATA).write_text(json.dumps(data))
    with pytest.raises(StudyError, match="out of the folder"):
        read_crate(crate)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"@graph": [1]}', "[" * 100_000])
def test_other_metadata_are_refused(crate, text) -> None:
    (crate / METADATA).write_text(text)
    with pytest.raises(StudyError, match="no RO-Crate of a metasight run"):
        read_crate(crate)


def test_the_same_crate_has_the_same_bytes(crate, tmp_path) -> None:
    write_crate(
        tmp_path / "again",
        ABOUT,
        results=tmp_path / "results",
        inputs={"study.toml": tmp_path / "study.toml"},
    )
    for path in (p for p in crate.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(crate)).read_bytes()


def test_without_inputs_it_says_so(tmp_path, crate) -> None:
    from dataclasses import replace

    write_crate(
        tmp_path / "bare",
        replace(ABOUT, with_inputs=False),
        results=tmp_path / "results",
        inputs={},
    )
    assert "not in this crate" in (tmp_path / "bare" / README).read_text("utf-8")
    assert read_crate(tmp_path / "bare").within("study") == {}

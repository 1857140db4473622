"""A new user who follows docs/first-study.md gets from `init` to a report."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from metasight.cli import main
from metasight.cohort.settings import CohortSettings, TableSettings
from metasight.protocol.load import read_protocol
from metasight.study.file import read_study
from metasight.study.propose import Proposal
from metasight.study.scaffold import study_toml

DOCS = Path(__file__).parents[2] / "docs"


def run(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def snippets() -> dict[str, str]:
    text = (DOCS / "first-study.md").read_text("utf-8")
    blocks = re.findall(r"```toml\n(\[(\w+)\]\n.*?)```", text, re.DOTALL)
    return {section: block.split("\n", 1)[1] for block, section in blocks}


def test_first_study(tmp_path, snippets, capsys):
    folder = tmp_path / "my-study"
    folder.mkdir()
    shutil.copy(DOCS / "example" / "patients.csv", folder)
    init = ("init", folder, "--protocol", "breast-dmfs", "--table", "patients.csv")
    assert run(*init, "--id", "patient_id") == 0
    assert "Mapped 14 of " in capsys.readouterr().out
    assert set(snippets) == {"columns", "constants", "waive"}
    path = folder / "study.toml"

    def add(section: str) -> None:
        text = path.read_text("utf-8")
        path.write_text(text.replace(f"[{section}]\n", f"[{section}]\n{snippets[section]}", 1))

    path.write_text(path.read_text("utf-8").replace("# ? ", ""), "utf-8")
    confirmed = tomllib.loads(path.read_text("utf-8"))["columns"]
    assert tomllib.loads(snippets["columns"]).items() <= confirmed.items()
    add("constants")
    assert run("check", folder) == 2
    assert "none of the 240 patients is eligible" in capsys.readouterr().err
    add("waive")
    assert run("check", folder) == 0
    said = capsys.readouterr().out
    assert "dmfs, all eligible: 224 patients" in said  # 16 have left by the landmark
    assert "by day 120, on which patients enter" in " ".join(said.split())
    # Fewer repeats than the document's, to be quick.
    text = path.read_text("utf-8").replace("repeats = 5", "repeats = 1\ninstability_resamples = 3")
    path.write_text(text.replace("bootstrap = 500", "bootstrap = 100"), "utf-8")
    assert run("run", folder, "--scheduler", "inline") == 0
    assert (folder / "results" / "latest" / "report.html").is_file()
    capsys.readouterr()
    assert run("run", folder, "--scheduler", "inline") == 0
    assert "Results are up to date; nothing to do." in capsys.readouterr().out
    path.write_text(path.read_text("utf-8").replace("repeats = 1", "repeats = 2"), "utf-8")
    assert run("run", folder, "--dry-run") == 0
    assert "steps would run" in capsys.readouterr().out


def test_init_does_not_overwrite(tmp_path, capsys):
    assert run("init", tmp_path / "s") == 0
    assert run("init", tmp_path / "s") == 2
    assert "there is a study.toml already" in capsys.readouterr().err


@pytest.mark.parametrize("protocol", ["breast-dmfs", "nsclc-occult-node"])
def test_the_scaffold_is_valid_toml_and_names_every_variable_and_criterion(tmp_path, protocol):
    assert run("init", tmp_path / "s", "--protocol", protocol) == 0
    assert read_study(tmp_path / "s").protocol.id == protocol
    text = (tmp_path / "s" / "study.toml").read_text("utf-8")
    tomllib.loads(text)
    known = read_protocol(protocol)
    for criterion in known.criterion:
        assert re.search(rf"(?m)^(# )?{criterion.id} = ", text), criterion.id
    for variable in known.variable:
        if variable.evidence == "table":
            assert re.search(rf"(?m)^(# )?{variable.name} = ", text), variable.name


def test_the_scaffold_of_a_protocol_whose_texts_have_several_lines():
    protocol = read_protocol("breast-dmfs")
    content = protocol.model_dump(mode="json", by_alias=True, exclude_none=True)
    content["registration"] = "a\nb"
    for part, text in (("variable", "label"), ("criterion", "text"), ("endpoint", "label")):
        for entry in content[part]:
            entry[text] = "first line\nsecond = line"
    several = type(protocol).model_validate(content)
    text = study_toml(
        several,
        name="x.toml",
        vault="../study.vault",
        table=TableSettings(path="patients.csv", id="id"),
        proposals={"age_years": Proposal(column="age_years", mapping='"age_years"', sure=True)},
        images={},
    )
    assert tomllib.loads(text)["columns"] == {"age_years": "age_years"}


def test_the_sections_of_the_walk_through_are_in_the_scaffold_once(tmp_path, snippets):
    assert run("init", tmp_path / "s") == 0
    text = (tmp_path / "s" / "study.toml").read_text("utf-8")
    for section in snippets:
        assert len(re.findall(rf"(?m)^\[{section}\]$", text)) == 1


def test_what_the_page_on_tables_shows_can_be_read():
    """Each entry that docs/tables.md shows is one that the study file takes."""
    text = (DOCS / "tables.md").read_text("utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 5
    names = {"patients", "tables", "columns", "time_and_status", "waive", "modalities"}
    shown = {}
    for block in blocks:
        for name, content in tomllib.loads(block).items():
            assert name in names, name
            if isinstance(content, list):
                shown[name] = [*shown.get(name, []), *content]
            else:
                shown[name] = {**shown.get(name, {}), **content}
    waive = shown.pop("waive")
    settings = CohortSettings.model_validate({"key": "a key for tests", **shown})
    known = read_protocol("breast-dmfs")
    assert set(settings.columns) <= set(known.variables)
    for part in settings.time_and_status:
        assert set(part.events) <= set(known.variables)
    for name in waive:
        criterion, _, variable = name.partition(".")
        assert variable in known.criteria[criterion].parts

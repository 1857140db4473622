"""The commented study file asks for what its protocol needs."""

from __future__ import annotations

import re
import tomllib

import pytest

from metasight.cohort.mapping import TimeAndStatus
from metasight.cohort.settings import TableSettings
from metasight.protocol.load import read_protocol
from metasight.study.propose import Proposal
from metasight.study.scaffold import study_toml


def text(protocol: str, columns: dict[str, str], images: dict[str, str] | None = None) -> str:
    return study_toml(
        read_protocol(protocol),
        name=protocol,
        vault="../study.vault",
        table=TableSettings(path="patients.csv", id="id"),
        proposals={
            name: Proposal(column=column, mapping=f'"{column}"', sure=True)
            for name, column in columns.items()
        },
        images=images or {},
    )


def test_slides_are_offered_where_a_criterion_asks_for_them_and_scans_likewise() -> None:
    breast, lung = text("breast-dmfs", {}), text("nsclc-occult-node", {})
    assert "# [slides]" in breast
    assert "# [scans]" not in breast
    assert "# [scans]" in lung
    assert "# [slides]" not in lung


def test_what_no_images_leave_open_is_waived_with_the_reason() -> None:
    waived = tomllib.loads(text("nsclc-occult-node", {}))["waive"]
    assert waived == {
        "E1": "no CT scans are given in this study",
        "E2": "no CT scans are given in this study",
    }
    waived = tomllib.loads(text("breast-dmfs", {}))["waive"]
    assert set(waived) == {"I5", "E5", "E6", "E7"}


def test_columns_are_mapped() -> None:
    columns = tomllib.loads(text("breast-dmfs", {"age_years": "Age at surgery"}))["columns"]
    assert columns == {"age_years": "Age at surgery"}


def test_what_is_not_sure_is_a_comment_with_a_question_mark() -> None:
    unsure = Proposal(column="Size", mapping='{ column = "Size" }', sure=False, why="unit cm")
    told = study_toml(
        read_protocol("breast-dmfs"),
        name="breast-dmfs",
        vault="../study.vault",
        table=TableSettings(path="p.csv", id="id", decimal=","),
        proposals={"tumour_size_mm": unsure},
        images={},
    )
    assert '\n# ? tumour_size_mm = { column = "Size" }   # Pathological tumour size' in told
    assert "[from the cells: unit cm]" in told
    assert tomllib.loads(told)["columns"] == {}
    assert tomllib.loads(told)["patients"]["decimal"] == ","


def test_images_that_are_there_are_read_and_nothing_is_waived_for_them() -> None:
    told = tomllib.loads(text("breast-dmfs", {}, {"slides": "case"}))
    assert told["slides"] == {"path": "slides.csv", "id": "case"}
    assert told["waive"] == {}
    told = tomllib.loads(text("nsclc-occult-node", {}, {"scans": "patient"}))
    assert told["scans"] == {"path": "scans.csv", "id": "patient"}
    assert told["waive"] == {}


def test_horizons_are_offered_to_survival_studies_only() -> None:
    assert "# horizons_years" in text("breast-dmfs", {})
    assert "# horizons_years" not in text("nsclc-occult-node", {})


@pytest.mark.parametrize("protocol", ["breast-dmfs", "nsclc-occult-node"])
def test_every_choice_that_is_offered_can_be_taken(protocol: str) -> None:
    """Each commented line of [columns] and beside it names what the study file knows."""
    known = read_protocol(protocol)
    offered = text(protocol, {})
    for line in offered.splitlines():
        name, _, rest = line.removeprefix("#   ").partition(" = ")
        if line.startswith("#   ") and rest:
            assert name in known.variables, line
    taken = offered.split("# [[time_and_status]]")[1].split("\n\n")[0]
    entry = tomllib.loads("\n".join(x.removeprefix("# ") for x in taken.strip().splitlines()))
    assert set(TimeAndStatus(**entry).events) <= set(known.variables)
    (part,) = re.findall(r'One part .*: "(\w+)[.](\w+)"', offered)
    assert part[1] in known.criteria[part[0]].parts


def test_sheet_and_header_row_are_written() -> None:
    told = study_toml(
        read_protocol("breast-dmfs"),
        name="breast-dmfs",
        vault="../study.vault",
        table=TableSettings(path="p.xlsx", id="id", sheet="Data", header_row=2),
        proposals={},
        images={},
    )
    patients = tomllib.loads(told)["patients"]
    assert (patients["sheet"], patients["header_row"]) == ("Data", 2)


def test_a_score_whose_inputs_the_table_lacks_is_a_comment() -> None:
    kinds = [m["kind"] for m in tomllib.loads(text("breast-dmfs", {"grade": "G"}))["model"]]
    assert "npi" not in kinds
    assert "# Needs tumour_size_mm, positive_nodes, which the table" in text(
        "breast-dmfs", {"grade": "G"}
    )
    full = {"grade": "G", "positive_nodes": "n", "tumour_size_mm": "s"}
    assert "npi" in [m["kind"] for m in tomllib.loads(text("breast-dmfs", full))["model"]]
    assert "npi" in [m["kind"] for m in tomllib.loads(text("breast-dmfs", {}))["model"]]

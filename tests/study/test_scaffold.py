"""The commented study file asks for what its protocol needs."""

from __future__ import annotations

import tomllib

import pytest

from metasight.protocol.load import read_protocol
from metasight.study.scaffold import study_toml


def text(protocol: str, header: list[str]) -> str:
    return study_toml(
        read_protocol(protocol),
        name=protocol,
        vault="../study.vault",
        table="patients.csv",
        id_column="id",
        header=header,
    )


def test_slides_are_offered_where_a_criterion_asks_for_them_and_scans_likewise() -> None:
    breast, lung = text("breast-dmfs", []), text("nsclc-occult-node", [])
    assert "# [slides]" in breast
    assert "# [scans]" not in breast
    assert "# [scans]" in lung
    assert "# [slides]" not in lung


def test_what_no_images_leave_open_is_waived_with_the_reason() -> None:
    waived = tomllib.loads(text("nsclc-occult-node", []))["waive"]
    assert waived == {
        "E1": "no CT scans are given in this study",
        "E2": "no CT scans are given in this study",
    }
    waived = tomllib.loads(text("breast-dmfs", []))["waive"]
    assert set(waived) == {"I5", "E5", "E6", "E7"}


@pytest.mark.parametrize("spelled", ["age_years", "Age (years)", "AGE YEARS"])
def test_columns_are_mapped_by_name(spelled: str) -> None:
    columns = tomllib.loads(text("breast-dmfs", ["id", spelled]))["columns"]
    assert columns == {"age_years": spelled}


def test_horizons_are_offered_to_survival_studies_only() -> None:
    assert "# horizons_years" in text("breast-dmfs", [])
    assert "# horizons_years" not in text("nsclc-occult-node", [])

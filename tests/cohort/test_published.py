"""Published settings hold no secret and no name of the hospital's, and are settings still."""

from __future__ import annotations

from metasight.cohort.published import published
from metasight.cohort.settings import CohortSettings


def test_no_key_no_sheet_and_no_file_of_a_slide() -> None:
    settings = CohortSettings.model_validate(
        {
            "key": "ab12" * 16,
            "patients": {"path": "patients.xlsx", "id": "MRN", "sheet": "Meier"},
            "tables": {"more": {"path": "more.xlsx", "id": "id", "sheet": "Meier"}},
            "columns": {"age_years": "age"},
            "slides": {
                "path": "slides.csv",
                "id": "id",
                "mpp_of": {"Meier.svs": 0.5},
                "picture_of": {"Meier.tif": 2},
            },
        }
    )
    found = published(settings)
    assert "Meier" not in str(found)
    assert "ab12" not in str(found)
    assert found["slides"]["mpp_of"] == {"file 1": 0.5}
    again = CohortSettings.model_validate(found | {"key": settings.key})
    assert again.columns == settings.columns
    assert again.patients.path == "patients.xlsx"

"""docs/schema/study.json says what study.toml may hold, as the models that read it do."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from json_schema import problems
from metasight.cli import main
from metasight.study.schema import DIALECT, study_schema

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = study_schema()


def test_the_file_is_up_to_date() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "metasight.study.schema"], capture_output=True, check=True
    )
    stored = (DOCS / "schema" / "study.json").read_bytes()
    assert made.stdout == stored, "python -m metasight.study.schema > docs/schema/study.json"


def test_every_key_has_a_description() -> None:
    parts = {"study.toml": SCHEMA, **SCHEMA["definitions"]}
    bare = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, field in part["properties"].items()
        if not field.get("description")
    ]
    assert bare == []
    assert "`" not in json.dumps(SCHEMA)


def test_it_asks_for_what_the_study_file_must_say() -> None:
    assert SCHEMA["$schema"] == DIALECT
    assert set(SCHEMA["required"]) == {"protocol", "patients", "columns", "analysis", "model"}
    assert SCHEMA["anyOf"] == [{"required": ["vault"]}, {"required": ["salt"]}]
    assert "key" not in SCHEMA["properties"]
    assert '"null"' not in json.dumps(SCHEMA)


@pytest.mark.parametrize("protocol", ["breast-dmfs", "nsclc-occult-node"])
def test_what_init_writes_is_valid(tmp_path: Path, protocol: str) -> None:
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "s"), "--protocol", protocol])
    given = tomllib.loads((tmp_path / "s" / "study.toml").read_text("utf-8"))
    assert problems(given, SCHEMA, SCHEMA) == []


def spoilt(made_up: Any, *path: str, value: Any) -> dict[str, Any]:
    given = tomllib.loads(made_up[1])
    part = given
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return given


def test_a_study_of_the_tests_is_valid(made_up: Any) -> None:
    assert problems(tomllib.loads(made_up[1]), SCHEMA, SCHEMA) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("patiens",), {}),
        (("patients", "decimal"), ";"),
        (("patients", "missing"), [True]),
        (("analysis", "folds"), 1),
        (("analysis", "horizons_years"), [0]),
        (("columns", "age_years"), {"years_between": ["birth"]}),
        (("model",), []),
        (("waive",), {"I1": 5}),
    ],
)
def test_what_the_program_refuses_is_not_valid(made_up: Any, path: Any, value: Any) -> None:
    assert problems(spoilt(made_up, *path, value=value), SCHEMA, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("patients", "missing"), ["NA", -9, 2.5]),
        (("columns", "age_years"), {"years_between": ["birth", "day"]}),
        (("scans",), {"path": "s.csv", "id": "p", "crops": {}, "radiomics": True}),
    ],
)
def test_what_the_program_takes_is_valid(made_up: Any, path: Any, value: Any) -> None:
    assert problems(spoilt(made_up, *path, value=value), SCHEMA, SCHEMA) == []

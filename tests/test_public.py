"""The names that programs beside the package import, and what is said of them."""

from __future__ import annotations

import importlib
import inspect

import pytest

PUBLIC = {
    "metasight": ["__version__"],
    "metasight.study": ["Study", "read_study"],
    "metasight.steps.scans": ["lesion_of", "read_ct"],
    "metasight.cohort.read": ["Cohort", "read_cohort"],
    "metasight.volumes.dicom": ["read_series"],
    "metasight.volumes.masks": ["mask_shape", "read_mask"],
    "metasight.volumes.pet": ["read_pet"],
    "metasight.slides.opening": ["open_slide"],
    "metasight.bundle": ["read", "unpacked"],
    "metasight.pipeline": ["predict", "run", "screen", "validate"],
    "metasight.validation.evaluate": ["evaluate", "evaluate_centres"],
    "metasight.predictions": ["Predictions"],
    "metasight.ledger": ["Entry", "Fate", "Ledger"],
}
NAMES = [(module, name) for module, names in PUBLIC.items() for name in names]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_it_is_there_and_documented(module: str, name: str) -> None:
    found = getattr(importlib.import_module(module), name)
    if name.startswith("__"):
        assert found
        return
    assert inspect.getdoc(found), f"{module}.{name} has no docstring"


@pytest.mark.parametrize("module", ["metasight.study", "metasight.steps.scans"])
def test_a_package_that_exports_says_so(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == sorted(PUBLIC[module])


@pytest.mark.parametrize(
    ("module", "name"),
    [(m, n) for m, n in NAMES if inspect.isfunction(getattr(importlib.import_module(m), n))],
)
def test_a_function_says_what_it_raises_or_returns(module: str, name: str) -> None:
    found = getattr(importlib.import_module(module), name)
    signature = inspect.signature(found)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())

"""What a step rests on is computed: wording never counts, a number always does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from metasight.engine import code as module
from metasight.engine.code import CodeBase, code_of, own_code

SOURCE = {
    "__init__.py": "",
    "errors.py": '''
class MetasightError(Exception):
    """Base."""
class SlideError(MetasightError):
    """A slide."""
''',
    "numbers.py": '''
"""Numbers."""
import numpy as np
LIMIT = 3.0
UNUSED = 4.0
def limited(x: float) -> float:
    """At most the limit."""
    # a comment
    return np.minimum(x, LIMIT)
def other(x):
    return x + UNUSED
''',
    "settings.py": '''
from dataclasses import dataclass
@dataclass(frozen=True)
class Settings:
    """Settings."""
    steps: int = 3
''',
    "far.py": """
from metasight.numbers import LIMIT as bound
def reached_lazily():
    return bound
""",
    "steps.py": '''
from importlib.resources import files
from typing import TYPE_CHECKING
from metasight import numbers
from metasight.errors import SlideError
if TYPE_CHECKING:
    from metasight.settings import Settings
def step(inputs, out, argument: "Settings") -> None:
    """A step."""
    if argument.steps < 0:
        raise SlideError("too few", value=f"{argument.steps:.1f} steps", remedy="Give more")
    numbers.limited(1.0)
def lazy(inputs, out, argument):
    from metasight.far import reached_lazily
    return reached_lazily()
def template(inputs, out, argument):
    return files("metasight").joinpath("sheet.html.j2").read_text()
def whole(inputs, out, argument):
    return handed_on(numbers)
def handed_on(module):
    return module
''',
    "sheet.html.j2": "<p>sheet</p>",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    root = tmp_path / "metasight"
    root.mkdir()
    for name, text in SOURCE.items():
        (root / name).write_text(text)

    def digest(name: str, file: str = "", old: str = "", new: str = "", *more) -> str:
        """Of a step's code after an edit of a copy."""
        copy = tmp_path / "copy" / "metasight"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(root, copy)
        if file:
            text = (copy / file).read_text()
            assert old in text
            (copy / file).write_text(text.replace(old, new))
        return CodeBase(copy).reached([("metasight.steps", name), *more]).digest

    return digest


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("numbers.py", "# a comment", "# another comment"),
        ("numbers.py", '"""At most the limit."""', '"""Never more than the limit."""'),
        ("numbers.py", '"""Numbers."""', ""),
        ("numbers.py", "x: float) -> float", "x: int) -> int"),
        ("numbers.py", "    return np", "\n\n    return np"),
        ("numbers.py", "UNUSED = 4.0", "UNUSED = 5.0"),
        ("errors.py", '"""A slide."""', '"""Slides."""'),
        ("steps.py", '"too few"', '"not enough"'),
        ("steps.py", '"Give more"', '"Give more of them"'),
        ("steps.py", '"Settings") -> None', '"int")'),
        ("settings.py", "steps: int = 3", "steps: int = 4"),
        ("far.py", "return bound", "return 2 * bound"),
        ("sheet.html.j2", "sheet", "page"),
    ],
)
def test_wording_and_what_is_not_reached_change_nothing(package, file, old, new):
    assert package("step", file, old, new) == package("step")


@pytest.mark.parametrize(
    ("name", "file", "old", "new"),
    [
        ("step", "numbers.py", "LIMIT = 3.0", "LIMIT = 3.5"),
        ("step", "numbers.py", "np.minimum", "np.maximum"),
        ("step", "steps.py", "argument.steps < 0", "argument.steps < 1"),
        ("step", "steps.py", "{argument.steps:.1f}", "{argument.steps:.2f}"),
        ("step", "errors.py", "(MetasightError)", "(Exception)"),
        ("lazy", "numbers.py", "LIMIT = 3.0", "LIMIT = 3.5"),
        ("lazy", "far.py", "return bound", "return 2 * bound"),
        ("template", "sheet.html.j2", "sheet", "page"),
        ("whole", "numbers.py", "UNUSED = 4.0", "UNUSED = 5.0"),
    ],
)
def test_what_a_step_computes_changes_its_key(package, name, file, old, new):
    assert package(name, file, old, new) != package(name)


def test_defaults_of_settings_count_where_the_argument_has_them(package):
    own = ("metasight.settings", "Settings")
    before = package("step", "", "", "", own)
    assert package("step", "settings.py", "steps: int = 3", "steps: int = 4", own) != before
    assert package("step", "settings.py", "steps: int", "steps: float", own) != before
    assert package("step", "settings.py", '"""Settings."""', "", own) == before


def test_other_packages_are_named(package, tmp_path):
    package("step")
    base = CodeBase(tmp_path / "copy" / "metasight")
    assert "numpy" in base.reached([("metasight.steps", "step")]).packages
    assert "numpy" not in base.reached([("metasight.steps", "lazy")]).packages


def test_the_table_is_read_once_for_a_state_of_the_source(package, tmp_path, monkeypatch):
    before = package("step")

    def never(*_, **__):
        raise AssertionError("parsed again")

    monkeypatch.setattr(module, "_PARSED", {})
    monkeypatch.setattr(module, "_read_module", never)
    assert package("step") == before
    (next((tmp_path / "cache" / "code").glob("*.json"))).write_text("{")
    with pytest.raises(AssertionError, match="parsed again"):
        package("step")


def test_a_function_of_another_package_rests_on_its_own_source():
    def local(inputs, out, argument):
        return 1

    (symbol,) = code_of(local).symbols
    assert "local" in symbol


# ------------------------------------------------------------------ the six rows of issue 12


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Digests of real steps after an edit in a copy of the package."""
    root = Path(own_code().root)
    tree = tmp_path_factory.mktemp("copy") / "metasight"
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "cache_folder", lambda: tree.parent / "cache")
    shutil.copytree(root, tree, ignore=shutil.ignore_patterns("__pycache__"))

    def digests(file: str = "", old: str = "", new: str = "") -> dict[str, str]:
        path = tree / file
        text = path.read_text() if file else ""
        assert old in text
        if file:
            path.write_text(text.replace(old, new, 1))
        try:
            base = CodeBase(tree)
            return {f"{m}:{n}": base.reached([(f"metasight.steps.{m}", n)]).digest for m, n in REAL}
        finally:
            if file:
                path.write_text(text)

    yield digests
    patch.undo()


REAL = (
    ("slides.patient", "check_slide"),
    ("slides.patient", "measure_patient"),
    ("slides.sheet", "draw_sheet"),
    ("slides.maps", "train"),
    ("slides.maps", "paint_patient"),
    ("slides.agreement", "judge_maps"),
    ("slides.patches", "embed_patient"),
    ("scans.patient", "measure_scans"),
    ("cohort.data", "cohort"),
    ("risk.fitting", "fit"),
    ("risk.judging", "judge"),
    ("results", "report"),
)


def changed(copy, file, old, new):
    before, after = copy(), copy(file, old, new)
    return {name for name in before if before[name] != after[name]}


def test_a_number_that_is_rounded_changes_all_that_write_through_it(copy):
    found = changed(copy, "steps/files.py", "return float(value)", "return round(float(value), 1)")
    assert "scans.patient:measure_scans" in found
    assert "slides.patches:embed_patient" not in found


def test_threads_change_trainings(copy):
    found = changed(copy, "engine/threads.py", "set_num_threads(1)", "set_num_threads(4)")
    assert {"slides.maps:train", "slides.patches:embed_patient"} <= found
    assert not found & {"slides.patient:check_slide", "cohort.data:cohort", "results:report"}


def test_the_sheets_template_changes_the_sheets_alone(copy):
    found = changed(copy, "report/slide_sheet.html.j2", "<", "<!-- a comment -->\n<")
    assert found == {"slides.sheet:draw_sheet"}


def test_comments_change_nothing(copy):
    assert changed(copy, "errors.py", "from __future__", "# a comment\nfrom __future__") == set()
    assert changed(copy, "features/vit.py", "\n\n", "\n# a comment\n\n") == set()


def test_a_reworded_error_changes_nothing(copy):
    assert (
        changed(copy, "slides/opening.py", "the file is empty", "nothing is in the file") == set()
    )


def test_the_densities_of_the_protocol_change_the_agreement_alone(copy):
    """They stand in the protocol, which the agreement is told: see tests/study/test_keys.py."""
    assert changed(copy, "validation/agreement.py", "1.0", "1.5") <= {
        "slides.agreement:judge_maps",
        "risk.judging:judge",
        "results:report",
    }

"""What messages name exists: commands, options, sections and keys of study.toml, columns, kinds."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from metasight.cli import app
from metasight.cohort.settings import ScanSettings, SlideSettings
from metasight.models.settings import Kind
from metasight.protocol.load import read_protocol
from metasight.protocol.study import Protocol
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.lung.settings import LungSettings, NoduleSettings, ThoraxSettings
from metasight.study import file
from metasight.study.file import StudySettings
from source_texts import ROOT, messages, texts

COMMAND = typer.main.get_command(app)

OTHER_PROGRAMS = {"dask scheduler", "make demo", "pip install", "chmod"}
OTHER_OPTIONS = {"--force-reinstall"}
# a folder of the results, and what a Python program that calls metasight gives
OF_PYTHON = {"bundle", "horizon_days", "state_dict", "chromogenic_cells", "horizons_days"}
# tags of the terminal's colours, no sections; nor are extras of pip and a placeholder
NO_SECTIONS = {"red", "green", "yellow", "demo", "section"}


REMEDIES = list(messages("remedy", "accepted", "fix"))
MESSAGES = list(messages("problem", "remedy", "accepted", "fix", errors=True))


def parts_of(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Models in a field's type; with ``.*`` where each has a name of the user's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
    elif isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        named = ".*" if typing.get_origin(annotation) is dict else ""
        for part in typing.get_args(annotation):
            yield from ((named + name, model) for name, model in parts_of(part))


def settings_of(
    model: type[BaseModel], header: str = "", above: tuple[type, ...] = ()
) -> Iterator[tuple[str, set[str]]]:
    """Header of every section that a file of these settings may have, and its keys."""
    yield header, set(model.model_fields)
    for key, field in model.model_fields.items():
        name = f"{header}.{key}".lstrip(".")
        if typing.get_origin(field.annotation) is dict:
            yield name, set()
        for more, part in parts_of(field.annotation):
            if part not in above:
                yield from settings_of(part, name + more, (*above, model, part))


def keys() -> set[str]:
    found = {
        "vault",
        "salt",
        "public_data",
        *file._OF_IMAGES,
        *file.PROTOCOL_MODALITIES,
        *typing.get_args(Kind),
    }
    simulated = BreastSettings, LungSettings, ThoraxSettings, NoduleSettings
    for settings in (StudySettings, Protocol, *simulated):
        found = found.union(*(own for _, own in settings_of(settings)))
    for protocol in ("breast-dmfs", "nsclc-occult-node"):
        found |= set(read_protocol(protocol).variables)
    # columns that tables of slides and scans are read by
    for settings in (SlideSettings, ScanSettings):
        found |= {str(f.default) for f in settings.model_fields.values()}
    return found | {f"{axis}{box}_mm" for axis in "xyz" for box in ("", "2")}


KEYS = keys()
SECTIONS = {name for part in (StudySettings, Protocol) for name, _ in settings_of(part)}


def command(words: list[str]) -> Any:
    """The command that words name; None where there is none."""
    found: Any = COMMAND
    for word in words:
        inner = getattr(found, "commands", None)
        if inner is None:
            return found
        if word not in inner:
            return None if found is COMMAND or re.fullmatch("[a-z]+", word) else found
        found = inner[word]
    return found


def options(found: Any) -> set[str]:
    names = {o for p in found.params for o in (*p.opts, *p.secondary_opts)}
    return names | {o for p in COMMAND.params for o in p.opts} | {"-h", "--help"}


def all_options(found: Any = COMMAND) -> set[str]:
    return options(found).union(*(all_options(c) for c in getattr(found, "commands", {}).values()))


def test_there_are_messages_to_check() -> None:
    assert len(MESSAGES) > 500
    assert {"scans", "scans.crops", "slides.embeddings", "model", "modalities.*"} <= SECTIONS
    assert {"--scheduler", "--header-row", "-i", "--dry-run"} <= all_options()


def test_commands_that_texts_and_pages_name_are_commands() -> None:
    wrong, checked = [], 0
    for place, text in texts():
        for line in re.findall(r"`{1,2}metasight ([a-z][^`]*)`|^ {4}metasight (.+)", text):
            words = re.split(r"\s+", (line[0] or line[1]).split("#")[0].strip())
            found = command([w for w in words if not w.startswith("-")])
            checked += 1
            if found is None:
                wrong.append(f"{place}: {' '.join(words)}")
                continue
            given = {w.split("=")[0] for w in words if re.match(r"--?[a-z]", w)}
            wrong += [f"{place}: {o} of {' '.join(words)}" for o in given - options(found)]
    assert wrong == []
    assert checked > 30


def test_options_that_messages_name_are_options() -> None:
    known = all_options() | OTHER_OPTIONS
    wrong = [
        f"{place}: {option}"
        for place, text in MESSAGES
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
        if option not in known
    ]
    assert wrong == []


def test_sections_that_messages_name_are_sections() -> None:
    wrong = []
    for place, text in MESSAGES:
        for name in re.findall(r"(?<!\w)\[\[?([a-z_]+(?:\.\w+)*)\]", text):
            any_name = re.sub(r"\.\w+$", ".*", name)
            if name not in NO_SECTIONS and not {name, any_name} & SECTIONS:
                wrong.append(f"{place}: [{name}]")
    assert wrong == []


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"\b([a-z][a-z0-9_]*) = [\"\[{0-9a-z…]", id="key = value"),
        pytest.param(r"`(\w+)`", id="quoted"),
        pytest.param(r"(?<![\w./-])([a-z0-9]+(?:_[a-z0-9]+)+)(?![\w(.]|-)", id="snake case"),
    ],
)
def test_keys_that_messages_name_are_keys(pattern: str) -> None:
    named = [(place, name) for place, text in REMEDIES for name in re.findall(pattern, text)]
    assert [f"{p}: {n}" for p, n in named if n not in KEYS | OF_PYTHON] == []
    assert named


def test_programs_that_messages_quote_are_known() -> None:
    quoted = {q for _, text in REMEDIES for q in re.findall(r"`(\w+ [^`]*)`", text)}
    others = {q for q in quoted if not q.startswith("metasight ")}
    assert others <= OTHER_PROGRAMS


def test_no_message_refers_to_a_page_that_is_not_there() -> None:
    named = {p for _, text in MESSAGES for p in re.findall(r"docs/[\w./-]+\w", text)}
    assert named
    assert [p for p in named if not (ROOT / p).exists()] == []
    assert [p for p, text in MESSAGES if "DESIGN" in text] == []

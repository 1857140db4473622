"""Where everything came from: inputs, settings, protocol, versions, and how to do it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from metasight.provenance import hash_json
from metasight.report.blocks import (
    Block,
    Code,
    Column,
    DataTable,
    Facts,
    Heading,
    Listing,
    Paragraph,
    Row,
)
from metasight.report.model_settings import settings_read
from metasight.report.view import View


def section(view: View) -> list[Block]:
    """The section."""
    contents, protocol = view.contents, view.contents.protocol
    blocks: list[Block] = [
        Heading(1, "Provenance", "provenance"),
        Paragraph(
            (
                "The run is named by a hash of all its inputs; the same inputs, "
                "settings and code give the same run, byte for byte. To reproduce it, put the "
                "files below next to this ",
                Code("study.toml"),
                " and run ",
                Code(
                    "metasight validate BUNDLE FOLDER" if view.external else "metasight run FOLDER"
                ),
                " with the versions below.",
            )
        ),
        Paragraph(
            (
                "To check the headline measure without this software, run ",
                Code("Rscript headline.R"),
                " in the folder of this report: it reads ",
                Code("headline.csv"),
                ", the predictions of the reference and the headline model, and needs base R only.",
            )
        ),
        Facts(
            (
                ("Run", (Code(contents.run),)),
                ("Protocol", f"{protocol.id}, version {protocol.version}"),
                ("Protocol hash", (Code(protocol_hash(view)),)),
                ("Code hash", (Code(contents.code),)),
            )
        ),
    ]
    if contents.inputs:
        blocks.append(
            DataTable(
                "inputs",
                "Input files.",
                (Column("File", weight=1), Column("SHA-256", weight=3)),
                tuple(Row((name, (Code(digest),))) for name, digest in contents.inputs.items()),
            )
        )
    blocks.append(_versions(contents.versions))
    if contents.settings and not view.external:
        blocks.append(Heading(2, "Settings as resolved", "settings"))
        blocks.append(
            Paragraph(
                "Every setting of the study file, including defaults; settings without a value "
                "are omitted."
            )
        )
        blocks.append(Listing("\n".join(_lines(contents.settings))))
    return blocks


def _versions(given: Mapping[str, str]) -> DataTable:
    """Two columns of names and versions side by side."""
    versions = list(given.items())
    half = -(-len(versions) // 2)
    right = [*versions[half:], *[("", "")] * (2 * half - len(versions))]
    return DataTable(
        "versions",
        "Software versions.",
        (
            Column("Software", weight=0.7),
            Column("Version", weight=1.6),
            Column("Software", weight=0.7),
            Column("Version", weight=1),
        ),
        tuple(Row((*a, *b)) for a, b in zip(versions[:half], right, strict=True)),
    )


def protocol_hash(view: View) -> str:
    """sha256 of the protocol as it was read."""
    return hash_json(view.contents.protocol.model_dump(mode="json", by_alias=True))


def _lines(settings: Mapping[str, Any]) -> Iterator[str]:
    """A line a setting, tables one level deep; what is not set is left out."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            for name, part in value.items():
                yield from _line(f"{key}.{name}", part)
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            for part in value:
                shown = _of_model(part) if key == "model" else part
                yield from _line(f"[[{key}]]", shown)
        else:
            yield from _line(key, value)


def _of_model(settings: Mapping[str, Any]) -> dict[str, Any]:
    leading = {k: settings[k] for k in ("kind", "name", "modalities") if k in settings}
    return leading | settings_read(str(settings.get("kind", "")), settings)


def _line(name: str, value: Any) -> Iterator[str]:
    kept = _set(value)
    if kept is not None:
        yield f"{name} = {json.dumps(kept, ensure_ascii=False)}"


def _set(value: Any) -> Any:
    """A value without the parts that are not set; None where nothing is left."""
    if isinstance(value, Mapping):
        parts = {k: _set(v) for k, v in value.items()}
        return {k: v for k, v in parts.items() if v is not None} or None
    return None if value in ([], (), "") else value

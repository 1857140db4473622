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
from metasight.report.view import View


def section(view: View) -> list[Block]:
    """The section."""
    contents, protocol = view.contents, view.contents.protocol
    blocks: list[Block] = [
        Heading(1, "Provenance", "provenance"),
        Paragraph(("The run is named by a hash of everything that it was made from; the same inputs, "
                   "settings and code give the same run, byte for byte. To make it again, put the "
                   "files below beside this ", Code("study.toml"), " and run ",
                   Code("metasight run FOLDER"), " with the versions below.")),
        Facts(
            (
                ("Run", (Code(contents.run),)),
                ("Protocol", f"{protocol.id}, version {protocol.version}"),
                ("Protocol hash", (Code(protocol_hash(view)),)),
                ("Code hash", (Code(contents.code),)),
            )
        ),
    ]  # fmt: skip
    if contents.inputs:
        blocks.append(
            DataTable(
                "inputs",
                "Input files.",
                (Column("File", weight=1), Column("SHA-256", weight=3)),
                tuple(Row((name, (Code(digest),))) for name, digest in contents.inputs.items()),
            )
        )
    versions = list(contents.versions.items())
    half = -(-len(versions) // 2)
    right = [*versions[half:], *[("", "")] * (2 * half - len(versions))]
    blocks.append(
        DataTable(
            "versions",
            "Versions of what ran.",
            (Column("Software"), Column("Version"), Column("Software"), Column("Version")),
            tuple(Row((*a, *b)) for a, b in zip(versions[:half], right, strict=True)),
        )
    )
    if contents.settings:
        blocks.append(Heading(2, "Settings as resolved", "settings"))
        blocks.append(Paragraph("Every setting of the study file, with the defaults filled in for "
                                "what it does not say."))  # fmt: skip
        blocks.append(Listing("\n".join(_lines(contents.settings))))
    return blocks


def protocol_hash(view: View) -> str:
    """sha256 of the protocol as it was read."""
    return hash_json(view.contents.protocol.model_dump(mode="json", by_alias=True))


def _lines(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _lines(value, f"{name}.")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            for k, part in enumerate(value):
                yield from _lines(part, f"{name}[{k}].")
        else:
            yield f"{name} = {json.dumps(value, ensure_ascii=False)}"

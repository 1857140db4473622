"""A finished run as RO-Crate 1.1: what was made, of what, by what, and how to make it again.

The metadata are JSON-LD that archives index (https://w3id.org/ro/crate/1.1). Every file is listed
with its length and sha256, and a crate that is read is checked against them: nothing more, nothing
less, nothing else.
"""

from __future__ import annotations

import datetime as dt
import json
import mimetypes
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from metasight.errors import StudyError
from metasight.exchange.contents import RESEARCH_ONLY, Algorithm
from metasight.provenance import hash_file

METADATA = "ro-crate-metadata.json"
README = "README.md"
STUDY, RESULTS = "study", "results"
_PROFILE = "https://w3id.org/ro/crate/1.1"
_CONTEXT = [f"{_PROFILE}/context", {"sha256": "https://schema.org/sha256"}]
_MAX_METADATA_BYTES = 200_000_000
_SOFTWARE = "#metasight"


@dataclass(frozen=True, kw_only=True)
class CrateAbout:
    """What is said of a crate.

    Attributes
    ----------
    title
        Of the study.
    licence
        Under which the crate is handed on: an address or an identifier of SPDX.
    algorithm
        That found the results.
    protocol
        Registration and version.
    versions
        Package → version that made the results.
    made
        When.
    with_inputs
        Whether the study's own files are in it.
    demonstration
        What the study is, where it is a demonstration or simulated.
    """

    title: str
    licence: str
    algorithm: Algorithm
    protocol: str
    versions: Mapping[str, str]
    made: dt.datetime
    with_inputs: bool
    demonstration: str = ""


@dataclass(frozen=True, kw_only=True)
class Crate:
    """A crate that was read and found whole.

    Attributes
    ----------
    run
        Name of the run.
    files
        Path within the crate → sha256.
    """

    run: str
    files: Mapping[str, str]

    def within(self, part: str) -> dict[str, str]:
        """Files of ``study`` or ``results``, by their path within it."""
        head = f"{part}/"
        return {n.removeprefix(head): d for n, d in self.files.items() if n.startswith(head)}


def licence_address(licence: str) -> str:
    """Address of a licence: itself, or that of SPDX for an identifier.

    Raises
    ------
    StudyError
        It is neither.
    """
    if re.fullmatch(r"https?://[^\s<>\"]+", licence):
        return licence
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        return f"https://spdx.org/licenses/{licence}"
    raise StudyError(
        "the licence is neither an address nor an identifier of SPDX",
        value=licence[:60],
        remedy="Give for example CC-BY-4.0, or https:// and where the terms are",
    )


def write_crate(
    folder: Path, about: CrateAbout, *, results: Path, inputs: Mapping[str, Path]
) -> None:
    """Write a crate into a new folder.

    Parameters
    ----------
    folder
        Made here.
    about
        What is said of it.
    results
        Folder of the published run.
    inputs
        Path within the study's folder → file; empty without inputs.
    """
    shutil.copytree(results, folder / RESULTS)
    for name, path in inputs.items():
        target = folder / STUDY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (folder / README).write_text(_readme(about), "utf-8")
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    graph = [
        _descriptor(),
        _root(about, [p.relative_to(folder).as_posix() for p in files]),
        *_made_by(about, folder),
        *(_file(p, folder) for p in files),
    ]
    text = json.dumps({"@context": _CONTEXT, "@graph": graph}, ensure_ascii=False, indent=1)
    (folder / METADATA).write_text(text + "\n", "utf-8")


def read_crate(folder: Path) -> Crate:
    """Read a crate and check every file of it.

    Raises
    ------
    StudyError
        It is no RO-Crate of metasight's, or a file is missing, added, altered, a link, or named
        out of the folder.
    """
    graph = _graph(folder)
    run = str(graph.get("#run", {}).get("identifier", ""))
    root = graph.get("./", {})
    if not run or _SOFTWARE not in graph:
        raise _no_crate("metasight did not make it")
    listed: dict[str, str] = {}
    for part in root.get("hasPart", ()):
        address = str(part.get("@id", "")) if isinstance(part, dict) else ""
        digest = str(graph.get(address, {}).get("sha256", ""))
        name = unquote(address)
        inside = PurePosixPath(name)
        if not name or inside.is_absolute() or ".." in inside.parts or "\\" in name:
            raise _no_crate("a file is named out of the folder")
        listed[name] = digest
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    wrong = sorted(there ^ {*listed, METADATA})
    for name in listed.keys() & there:
        path = folder / name
        if path.is_symlink() or not path.is_file() or hash_file(path) != listed[name]:
            wrong.append(name)
    if wrong:
        raise StudyError(
            "the crate is not whole: files are missing, added or altered",
            where=METADATA,
            value=f"{len(wrong)} files",
            remedy="Copy it again from where it was made",
        )
    return Crate(run=run, files=listed)


def _graph(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / METADATA
    try:
        if path.stat().st_size > _MAX_METADATA_BYTES or path.is_symlink():
            raise _no_crate("its metadata are too large")
        data = json.loads(path.read_text("utf-8"))
        graph = {str(e["@id"]): e for e in data["@graph"]}
        profile = graph[METADATA]["conformsTo"]["@id"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _no_crate(type(error).__name__) from error
    if profile != _PROFILE:
        raise _no_crate("another profile")
    return graph


def _no_crate(value: str) -> StudyError:
    return StudyError(
        "this is no RO-Crate of a metasight run",
        where=METADATA,
        value=value,
        remedy="Give the folder that `metasight export --as crate` wrote",
    )


# ------------------------------------------------------------------ metadata


def _descriptor() -> dict[str, Any]:
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _PROFILE},
        "about": {"@id": "./"},
    }


def _root(about: CrateAbout, names: Sequence[str]) -> dict[str, Any]:
    told = "with the study's own files" if about.with_inputs else "without the study's own files"
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": about.title,
        "description": " ".join(
            t
            for t in (
                f"Results of a prediction-model study, {told}.",
                RESEARCH_ONLY,
                about.demonstration,
            )
            if t
        ),
        "datePublished": about.made.isoformat(),
        "license": {"@id": licence_address(about.licence)},
        "hasPart": [{"@id": quote(n)} for n in names],
        "mentions": [{"@id": "#run"}],
    }


def _made_by(about: CrateAbout, folder: Path) -> list[dict[str, Any]]:
    """The run, the software and its packages, the protocol."""
    algorithm = about.algorithm
    packages = [(n, v) for n, v in sorted(about.versions.items()) if n != Algorithm.NAME]
    inputs = sorted((folder / STUDY).rglob("*")) if about.with_inputs else []
    named = [p.relative_to(folder).as_posix() for p in inputs if p.is_file()]
    results = sorted(p for p in (folder / RESULTS).rglob("*") if p.is_file())
    found: list[dict[str, Any]] = [
        {
            "@id": "#run",
            "@type": "CreateAction",
            "name": f"metasight run {algorithm.run}",
            "identifier": algorithm.run,
            "instrument": {"@id": _SOFTWARE},
            "object": [{"@id": "#protocol"}, *({"@id": quote(n)} for n in named)],
            "result": [{"@id": quote(p.relative_to(folder).as_posix())} for p in results],
            "description": f"How to run it again: {README}",
        },
        {
            "@id": _SOFTWARE,
            "@type": "SoftwareApplication",
            "name": Algorithm.NAME,
            "version": algorithm.version,
            "softwareVersion": algorithm.version,
            "license": {"@id": "https://spdx.org/licenses/Apache-2.0"},
            "softwareRequirements": [{"@id": f"#{name}"} for name, _ in packages],
        },
        {"@id": "#protocol", "@type": "CreativeWork", "name": about.protocol},
        {
            "@id": licence_address(about.licence),
            "@type": "CreativeWork",
            "name": about.licence,
        },
    ]
    found += [
        {"@id": f"#{name}", "@type": "SoftwareApplication", "name": name, "version": version}
        for name, version in packages
    ]
    return found


def _file(path: Path, folder: Path) -> dict[str, Any]:
    told = {
        "@id": quote(path.relative_to(folder).as_posix()),
        "@type": "File",
        "contentSize": str(path.stat().st_size),
        "sha256": hash_file(path),
    }
    kind = mimetypes.guess_type(path.name)[0]
    return told | ({"encodingFormat": kind} if kind else {})


def _readme(about: CrateAbout) -> str:
    versions = "\n".join(f"{n}=={v}" for n, v in sorted(about.versions.items()) if n != "python")
    python = about.versions.get("python", "")
    lines = [
        f"# {about.title}",
        "",
        about.demonstration or RESEARCH_ONLY,
        "",
        f"Run {about.algorithm.run} of metasight {about.algorithm.version}, protocol "
        f"{about.protocol}.",
        "",
        "## How to run it again",
        "",
    ]
    if about.with_inputs:
        lines += [
            "1. Install the versions below.",
            "2. `metasight import CRATE FOLDER --rerun` checks every file, copies the study into "
            "FOLDER, runs it and compares the results with these.",
            "",
            "If study.toml names a vault, put the key of the pseudonyms there first: it is not in "
            "the crate, and other pseudonyms give other folds.",
        ]
    else:
        lines += [
            "The study's own files are not in this crate. Whoever has them runs `metasight run` "
            "with the versions below; `manifest.json` in `results` has the sha256 of each table.",
        ]
    return "\n".join([*lines, "", f"Python {python}", "", "```", versions, "```", ""])

"""Read and verify a bundle, from its folder or its zip; nothing of it is run."""

from __future__ import annotations

import errno
import json
import lzma
import os
import shlex
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydantic import ValidationError

from metasight.bundle.content import (
    BEFORE,
    FORMAT,
    Acquired,
    Bundle,
    Parent,
    Standing,
    Training,
)
from metasight.bundle.lock import INTERVALS, LISTING
from metasight.bundle.recalibrate import line_of
from metasight.errors import FitError, MetasightError, StoreError
from metasight.features.columns import Feature, Kind
from metasight.models.registry import load
from metasight.protocol.study import Protocol
from metasight.provenance import hash_file
from metasight.study.file import StudySettings

_MOST_BYTES = 4 * 2**30
_MOST_FILES = 10_000


@contextmanager
def unpacked(place: Path) -> Iterator[Path]:
    """The folder of a bundle that is given as a folder, a zip, or the study that made it.

    Raises
    ------
    StoreError
        There is no bundle, or the zip holds what no bundle holds.
    """
    if place.is_file():
        with tempfile.TemporaryDirectory(prefix="metasight-bundle-") as name:
            _extract(place, Path(name))
            yield Path(name)
        return
    yield _folder(place)


def _folder(place: Path) -> Path:
    for folder in (place, place / "results" / "latest" / "bundle"):
        if (folder / LISTING).is_file():
            return folder
    if (place / "study.toml").is_file():
        raise StoreError(
            "this study has no locked models yet",
            where=place.name,
            remedy=f"Run `metasight run {shlex.quote(str(place))}` first",
        )
    raise StoreError(
        "there is no bundle here",
        where=place.name,
        remedy="Give the `bundle` folder or bundle.zip of a run's results, or the study's folder",
    )


# What zipfile and its decompressors raise on wrong bytes, of which two files of one name are some.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    FileExistsError,
    NotADirectoryError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)


def _extract(place: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(place) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            total = sum(m.file_size for m in members)
            if len(members) > _MOST_FILES or total > _MOST_BYTES:
                raise StoreError(
                    "the zip is larger than any bundle",
                    where=place.name,
                    value=f"{len(members)} files, {total} bytes",
                    remedy="Give bundle.zip of a run's results",
                )
            for member in members:
                _extract_one(archive, member, target, place.name)
    except _DAMAGED as error:
        raise _unreadable(place, error) from error
    except OSError as error:  # a full disk is another matter
        if error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        raise _unreadable(place, error) from error


def _unreadable(place: Path, error: Exception) -> StoreError:
    return StoreError(
        "the zip cannot be read",
        where=place.name,
        value=type(error).__name__,
        remedy="Copy the bundle again from its source",
    )


def _extract_one(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, name: str
) -> None:
    inside = PurePosixPath(member.filename)
    link = stat.S_ISLNK(member.external_attr >> 16)
    if inside.is_absolute() or ".." in inside.parts or "\\" in member.filename or link:
        raise StoreError(
            "the zip holds a path that leads out of it",
            where=name,
            remedy="Give bundle.zip of a run's results",
        )
    path = target.joinpath(*inside.parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("xb") as sink:
        shutil.copyfileobj(source, sink)


def read(folder: Path) -> Bundle:
    """Read and verify a bundle's folder.

    Every file is there and none else, each with its hash; every model's state is checked, so that
    one that would give no sensible risk is refused here and not in a patient.

    Raises
    ------
    StoreError
        It is not a bundle, a file is missing, added or altered, its format is another, or a state
        is damaged.
    """
    folder = _folder(folder)
    _verify(folder)
    about = _json(folder, "bundle.json")
    _require_format(about)
    try:
        states = {str(n): _json(folder, str(f)) for n, f in about["models"].items()}
        refits = tuple(_json(folder, f"refits/{k:03d}.json") for k in range(int(about["refits"])))
        settings = StudySettings.model_validate(
            {**_json(folder, "settings.json"), "key": "a bundle has no study"}
        )
        found = Bundle(
            protocol=Protocol.model_validate(_json(folder, "protocol.json")),
            settings=settings,
            endpoint=str(about["endpoint"]),
            horizons_days=tuple(int(h) for h in about["horizons_days"]),
            grid_days=tuple(int(h) for h in about["grid_days"]),
            headline_model=str(about["headline_model"]),
            reference_model=str(about["reference_model"]),
            features=tuple(_feature(f) for f in about["features"]),
            states=states,
            refits=refits,
            intervals=_json(folder, INTERVALS) if (folder / INTERVALS).is_file() else None,
            training=_training(about["training"]),
            standing=Standing(
                quantiles={k: tuple(v) for k, v in about["standing"]["quantiles"].items()}
            ),
            acquired=_acquired(about["acquired"]),
            overlap=dict(about["overlap"]),
            performance=dict(about["performance"]),
            versions=dict(about["versions"]),
            generator=folder / "generator" if (folder / "generator").is_dir() else None,
            parent=_parent(about.get("parent")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError, FitError) as error:
        raise StoreError(
            "bundle.json, protocol.json or settings.json is incomplete or invalid",
            value=f"{type(error).__name__}",
            remedy="Copy the bundle again from its source",
        ) from error
    _check_models(found)
    return found


def _verify(folder: Path) -> None:
    try:
        hashes = dict(json.loads((folder / LISTING).read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise _damaged(LISTING) from error
    there = {
        str(p.relative_to(folder))
        for p in folder.rglob("*")
        if not p.is_dir() and p != folder / LISTING
    }
    if there != set(hashes):
        raise StoreError(
            "files are missing from the bundle or were added",
            value=", ".join(sorted(there ^ set(hashes))),
            remedy="Copy the bundle again from its source",
        )
    for name, expected in hashes.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or hash_file(path) != expected:
            raise StoreError(
                "a file of the bundle was altered",
                where=name,
                remedy="Copy the bundle again from its source",
            )


def _json(folder: Path, name: str) -> Any:
    """A listed file of the bundle; no other is read.

    Raises
    ------
    StoreError
        The name leads out of the bundle, or the file is no JSON.
    """
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or (os.sep != "/" and os.sep in name):
        raise StoreError("a path of the bundle leads out of it", value=name)
    try:
        return json.loads((folder / name).read_text("utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError) as error:
        raise _damaged(name) from error


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _damaged(name: str) -> StoreError:
    return StoreError(
        "a file of the bundle is damaged",
        where=name,
        remedy="Copy the bundle again from its source",
    )


def _require_format(about: Any) -> None:
    found = about.get("format") if isinstance(about, Mapping) else None
    if found != FORMAT:
        version = BEFORE.get(found) if isinstance(found, int) else None
        raise StoreError(
            "the bundle has another format",
            value=str(found),
            remedy=f"This metasight reads format {FORMAT}"
            + (f"; metasight {version} reads it" if version else ""),
        )


def _feature(told: Mapping[str, Any]) -> Feature:
    return Feature(**{**told, "kind": Kind(told["kind"]), "levels": tuple(told["levels"])})


def _training(told: Mapping[str, Any]) -> Training:
    return Training(
        **{
            **told,
            "accrual": tuple(told["accrual"]),
            "case_mix": tuple((str(a), str(b)) for a, b in told["case_mix"]),
        }
    )


def _parent(told: Mapping[str, Any] | None) -> Parent | None:
    """What a recalibrated bundle was made from; earlier bundles have no such part."""
    if told is None:
        return None
    coefficients = tuple(map(float, told["coefficients"]))
    covariance = np.asarray(told["covariance"], dtype=np.float64)
    if covariance.shape != (len(coefficients) + 2,) * 2 or not np.isfinite(covariance).all():
        raise ValueError("the covariance of a recalibration has another size than its coefficients")
    rows = tuple(tuple(row) for row in covariance.tolist())
    found = Parent(**{**told, "coefficients": coefficients, "covariance": rows})
    line_of(found)
    return found


def _acquired(told: Mapping[str, Any]) -> Acquired:
    slices = told["ct_slice_mm"]
    return Acquired(
        ct_kernels=tuple(told["ct_kernels"]),
        ct_slice_mm=None if slices is None else (float(slices[0]), float(slices[1])),
        slide_mpp={k: (float(a), float(b)) for k, (a, b) in told["slide_mpp"].items()},
    )


def _check_models(found: Bundle) -> None:
    """Every state makes a model; names that lead are there.

    Raises
    ------
    StoreError
        As said.
    """
    for role in (found.headline_model, found.reference_model):
        if role not in found.states:
            raise StoreError("a model that the bundle lists is missing", value=role)
    try:
        found.patient_intervals()
    except FitError as error:
        raise StoreError(error.problem, value=error.value, remedy=error.remedy) from error
    named = [*found.states.items(), *((found.headline_model, r) for r in found.refits)]
    for name, state in named:
        try:
            load(dict(state))
        except MetasightError as error:
            raise StoreError(
                f"the state of model {name!r} is not usable: {error.problem}",
                value=error.value,
                remedy=error.remedy or "Copy the bundle again from its source",
            ) from error
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise StoreError(
                f"the state of model {name!r} is damaged",
                value=type(error).__name__,
                remedy="Copy the bundle again from its source",
            ) from error

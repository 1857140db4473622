"""Which images a study's measurements are of, kept in its vault and nowhere else.

Whoever exports a mask or a measurement to an archive must name the series that it was made on. The
UIDs of that series find the patient in the hospital's archive, so that they are in no result, no
store and no bundle: a record beside the key of the pseudonyms holds them, one file a scan.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np

from metasight.errors import StudyError
from metasight.formats import KEY, require_format, with_format
from metasight.volumes.series import Series
from metasight.volumes.stack import stack

FOLDER = "sources"
"""In the vault."""
FORMAT = 1
"""Of a record."""
ScanKind = Literal["CT", "PET"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """The DICOM series that one scan of a patient was read from; never printed.

    Attributes
    ----------
    patient
        Pseudonym.
    kind
        Row of the table of scans.
    step
        Key of the step that read the scan: another content, another record.
    study_uid, series_uid, frame_of_reference_uid, sop_class_uid
        As DICOM names them; empty if the headers do not say, or if no series could be read.
    instance_uids
        SOPInstanceUID of each slice of the volume, in the order of its slices (towards the head,
        if axial); None where a slice was missing and was interpolated.
    frames
        Number from 1 of each slice within its multi-frame object, 0 where a slice was
        interpolated; empty where each slice is an object of its own.
    """

    patient: str
    kind: ScanKind
    step: str
    study_uid: str = field(default="", repr=False)
    series_uid: str = field(default="", repr=False)
    frame_of_reference_uid: str = field(default="", repr=False)
    sop_class_uid: str = field(default="", repr=False)
    instance_uids: tuple[str | None, ...] = field(default=(), repr=False)
    frames: tuple[int, ...] = ()

    @classmethod
    def of_series(cls, series: Series, *, patient: str, kind: ScanKind, step: str) -> Self:
        """The record of a series that was chosen.

        Raises
        ------
        VolumeError
            Its slices make no stack.
        """
        layout = stack(series.headers)
        uids: list[str | None] = [None] * layout.n_places
        frames = [0] * layout.n_places
        for index, place in zip(layout.order, layout.places, strict=True):
            uids[place] = series.headers[index].sop_uid
            frames[place] = series.headers[index].frame + 1
        # volumes run to the patient's left, back and head, whichever way the slices were sorted
        normal = layout.direction[:, 2]
        if normal[np.argmax(np.abs(normal))] < 0:
            uids.reverse()
            frames.reverse()
        objects = [uid for uid in uids if uid is not None]
        single = len(set(objects)) == len(objects)
        first = series.first
        return cls(
            patient=patient,
            kind=kind,
            step=step,
            study_uid=first.study,
            series_uid=first.series_uid,
            frame_of_reference_uid=first.frame_of_reference,
            sop_class_uid=first.sop_class,
            instance_uids=tuple(uids),
            frames=() if single else tuple(frames),
        )


def has_source(vault: Path, step: str, kind: ScanKind) -> bool:
    """Whether the vault holds the record of a scan; nothing is read of it.

    Raises
    ------
    StudyError
        The vault cannot be read.
    """
    try:
        _path(vault, step, kind).stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _no_access(vault, "read", error) from error
    return True


def prepare_sources(vault: Path) -> None:
    """Make the folder of the records, to its owner alone, and see that it can be written.

    Raises
    ------
    StudyError
        It cannot be written, or others may read it.
    """
    folder = vault / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _no_access(vault, "written", error) from error
    if os.name == "posix" and mode & 0o077:
        raise StudyError(
            "others may read which images the patients have",
            where=str(folder),
            value=f"mode {mode:04o}",
            remedy=f"Run chmod 700 {folder}",
        )


def write_source(vault: Path, source: Source) -> None:
    """Keep a record, whole or not at all; one that is there with the same content stays as it is.

    Raises
    ------
    StudyError
        The vault cannot be written.
    """
    path = _path(vault, source.step, source.kind)
    text = json.dumps(with_format(asdict(source), FORMAT)) + "\n"
    try:
        if path.is_file() and path.read_text("utf-8") == text:
            return
        # mkstemp gives 0600; a process killed here leaves a hidden file that nobody else may read
        handle, beside = tempfile.mkstemp(prefix=".", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            Path(beside).unlink(missing_ok=True)
    except OSError as error:
        raise _no_access(vault, "written", error) from error


def read_source(vault: Path, step: str, kind: ScanKind) -> Source:
    """The record of a scan.

    Raises
    ------
    StudyError
        There is none, or it cannot be read.
    StoreError
        It is of another format.
    """
    path = _path(vault, step, kind)
    try:
        found = json.loads(path.read_text("utf-8"))
        require_format(found.pop(KEY, None), FORMAT, file=path.name)
        return Source(
            **{
                **found,
                "instance_uids": tuple(found["instance_uids"]),
                "frames": tuple(found["frames"]),
            }
        )
    except FileNotFoundError as error:
        raise StudyError(
            "the vault does not hold the images of this scan",
            where=str(path),
            remedy="Run the study again with `metasight run`; the record is made from the headers",
        ) from error
    except OSError as error:
        raise _no_access(vault, "read", error) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StudyError(
            "a record of the vault is damaged",
            where=str(path),
            remedy="Delete the file and run the study again with `metasight run`",
        ) from error


def erase_sources(vault: Path, patients: Collection[str]) -> int:
    """Delete every record of some patients' images, and every one that cannot be read.

    Parameters
    ----------
    vault
        Of the study.
    patients
        Pseudonyms.

    Returns
    -------
    Records deleted.

    Raises
    ------
    StudyError
        The vault cannot be read or written.
    """
    erased = 0
    try:
        for path in sorted((vault / FOLDER).glob("*.json")):
            if _patient_in(path) in {None, *patients}:
                path.unlink()
                erased += 1
    except OSError as error:
        raise _no_access(vault, "written", error) from error
    return erased


def _patient_in(path: Path) -> str | None:
    """Whose record it is; None where it does not say."""
    try:
        return str(json.loads(path.read_text("utf-8"))["patient"])
    except (ValueError, KeyError, TypeError):
        return None


def _path(vault: Path, step: str, kind: ScanKind) -> Path:
    """Named by a hash: a listing of the folder says nothing."""
    digest = hashlib.sha256(f"{step} {kind}".encode()).hexdigest()
    return vault / FOLDER / f"{digest[:32]}.json"


def _no_access(vault: Path, what: str, error: OSError) -> StudyError:
    return StudyError(
        f"the vault cannot be {what}",
        where=str(vault),
        value=error.strerror or type(error).__name__,
        remedy="Give your account access to this folder, or correct vault = PATH in study.toml",
    )

"""The part of a ``study.toml`` that says who the patients are, without analysis and models.

Patients to predict, and those of another hospital, are measured and predicted by a bundle's recipe:
what their file says of models and analysis is not read.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from metasight.cohort.settings import CohortSettings
from metasight.errors import StudyError
from metasight.protocol.load import read_protocol, validation_lines
from metasight.protocol.study import Protocol
from metasight.study.file import StudySettings, read_toml
from metasight.study.vault import with_key


def read_patient_settings(folder: Path) -> CohortSettings:
    """Read the tables, mapping, waivers and image tables of a folder's ``study.toml``.

    Raises
    ------
    StudyError
        The file is missing, not TOML, or an entry is wrong; every wrong entry is named.
    """
    path = folder / "study.toml"
    if not path.is_file():
        raise StudyError(
            "there is no study.toml",
            where=folder.name,
            remedy="Make one with `metasight init FOLDER`; [analysis] and [[model]] are not needed",
        )
    data = with_key(read_toml(path), folder)
    own = set(CohortSettings.model_fields)
    others = set(StudySettings.model_fields) - own
    data = {name: value for name, value in data.items() if name not in others}
    try:
        return CohortSettings.model_validate(data)
    except ValidationError as error:
        lines = validation_lines(error, CohortSettings, data)
        raise StudyError(
            "entries are wrong or missing:\n" + lines + "\n",
            where="study.toml",
            remedy="Correct the entries named",
        ) from error


def protocol_of(folder: Path) -> Protocol | None:
    """The protocol that the folder's ``study.toml`` names; None where it names none.

    Raises
    ------
    ProtocolError
        There is no such protocol.
    """
    name = read_toml(folder / "study.toml").get("protocol")
    return read_protocol(str(name), folder=folder) if name is not None else None

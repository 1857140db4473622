"""What of one DICOM file names its patient: texts that must not stand in any value that is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from metasight.deidentify.actions import listed

_KEYWORDS = listed(
    "PatientID OtherPatientIDs AccessionNumber StudyID AdmissionID IssuerOfPatientID "
    "InstitutionName InstitutionAddress InstitutionalDepartmentName StationName "
    "DeviceSerialNumber PatientAddress PatientTelephoneNumbers MedicalRecordLocator "
    "MilitaryRank CountryOfResidence RegionOfResidence SpecimenIdentifier ContainerIdentifier "
    "BarcodeValue FillerOrderNumberImagingServiceRequest PlacerOrderNumberImagingServiceRequest "
    "RequestedProcedureID ScheduledProcedureStepID PerformedProcedureStepID"
)
_SHORTEST = 3
_SHORTEST_IN_BYTES = 6


def identifiers_of(data: Dataset) -> frozenset[str]:
    """Parts of names and whole identifiers, casefolded, of three characters or more.

    Parameters
    ----------
    data
        A data set as it was read; sequences are looked into at any depth.
    """
    found: set[str] = set()
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                found |= identifiers_of(item)
        elif element.VR == "PN":
            for name in _texts(element.value):
                found.update(re.split(r"[\^=,\s\\]+", name.casefold()))
        elif element.keyword in _KEYWORDS:
            found.update(t.casefold().strip() for t in _texts(element.value))
    return frozenset(t for t in found if len(t) >= _SHORTEST)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, (list, tuple, MultiValue)):
        return [str(v) for v in value]
    return [str(value or "")]


class Names:
    """Finds a patient's identifiers in texts and bytes.

    Parameters
    ----------
    identifiers
        Of :func:`identifiers_of`.
    """

    def __init__(self, identifiers: Iterable[str]) -> None:
        self._all = sorted(identifiers)
        words = "|".join(re.escape(i) for i in self._all)
        self._words = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])") if words else None
        self._bytes = [
            encoded
            for i in self._all
            if len(i) >= _SHORTEST_IN_BYTES
            for encoded in {i.encode("utf-8"), i.encode("utf-16-le"), i.encode("latin-1", "ignore")}
            if len(encoded) >= _SHORTEST_IN_BYTES
        ]

    def are_in(self, text: str) -> bool:
        """Whether an identifier stands in a text as a word."""
        return self._words is not None and self._words.search(text.casefold()) is not None

    def are_in_bytes(self, raw: bytes) -> bool:
        """Whether one of six bytes or more stands among bytes, in any usual encoding."""
        low = raw.lower()
        return any(i in low for i in self._bytes)

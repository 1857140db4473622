"""What software made a bundle, as a CycloneDX 1.5 bill of materials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metasight.provenance import hash_json

_NOT_PACKAGES = {"python", "platform"}


def bill_of_materials(versions: Mapping[str, str]) -> dict[str, Any]:
    """CycloneDX JSON of the packages and versions that made a bundle's models.

    Parameters
    ----------
    versions
        Package → version, or several with commas between where results were made by several.

    Notes
    -----
    It has no date and its serial number is a hash of its content: the same bundle gives the same
    bytes.
    """
    components = [
        {
            "type": "platform" if name in _NOT_PACKAGES else "library",
            "bom-ref": f"{name}@{version}",
            "name": name,
            "version": version,
            **({} if name in _NOT_PACKAGES else {"purl": f"pkg:pypi/{name}@{version}"}),
        }
        for name, all_of in sorted(versions.items())
        for version in all_of.split(", ")
    ]
    digest = hash_json(components)
    serial = f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": {"type": "machine-learning-model", "name": "metasight bundle"}},
        "components": components,
    }

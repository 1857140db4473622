"""The locked model package: a folder of JSON that is verified when read and runs no code.

Layout::

    bundle.json      what it is: protocol, endpoint, horizons, features, training summary
    models/*.json    everything each model learnt
    model_card.md    for people
    hashes.json      sha256 of every other file
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metasight.errors import StoreError
from metasight.features.columns import Feature, Kind
from metasight.features.images import ImageFolders
from metasight.models.base import FittedModel
from metasight.models.registry import load
from metasight.models.settings import file_name
from metasight.provenance import canonical_json, hash_file

FORMAT = 1
DISCLAIMER = (
    "Research software, not a medical device. A predicted risk is an estimate from the patients "
    "described here and must not decide a patient's treatment."
)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Fitted models and what they rest on.

    Attributes
    ----------
    protocol, protocol_version, endpoint
        What is predicted, and for whom.
    horizons_days, grid_days
        Reported horizons, and all that were evaluated; empty for nodal stage.
    headline_model, reference_model
        Names among ``states``.
    features
        What the models may read.
    states
        Model name → all that it learnt.
    training
        Patients, events, centres, accrual and ledger counts of the training data.
    performance
        Cross-fitted figures of the headline model, as text for the card.
    """

    protocol: str
    protocol_version: str
    endpoint: str
    horizons_days: tuple[int, ...]
    grid_days: tuple[int, ...]
    headline_model: str
    reference_model: str
    features: tuple[Feature, ...]
    states: Mapping[str, Mapping[str, Any]]
    training: Mapping[str, Any]
    performance: Mapping[str, str]

    def model(self, name: str, images: ImageFolders | None = None) -> FittedModel:
        """Return a fitted model; ``images`` tells where images lie, for models that read any.

        Raises
        ------
        StoreError
            The bundle has no model of that name.
        """
        if name not in self.states:
            raise StoreError(
                "the bundle has no such model",
                value=name,
                remedy=f"It has {', '.join(self.states)}",
            )
        return load(dict(self.states[name]), images)


def save(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into an empty folder; the same bundle gives the same bytes."""
    (folder / "models").mkdir(parents=True)
    files: dict[str, str] = {}
    for name, state in bundle.states.items():
        file = f"models/{file_name(name)}.json"
        if file in files.values():
            raise StoreError(
                "two models have the same file name", value=name, remedy="Rename one in study.toml"
            )
        files[name] = file
        (folder / file).write_text(canonical_json(state), "utf-8")
    about = {k: v for k, v in asdict(bundle).items() if k not in {"states"}}
    about |= {"format": FORMAT, "models": files, "disclaimer": DISCLAIMER}
    (folder / "bundle.json").write_text(
        json.dumps(about, sort_keys=True, indent=1, allow_nan=False), "utf-8"
    )
    (folder / "model_card.md").write_text(_card(bundle), "utf-8")
    hashes = {
        str(p.relative_to(folder)): hash_file(p) for p in sorted(folder.rglob("*")) if p.is_file()
    }
    (folder / "hashes.json").write_text(json.dumps(hashes, sort_keys=True, indent=1), "utf-8")


def read(folder: Path) -> Bundle:
    """Read and verify a bundle.

    Raises
    ------
    StoreError
        It is not a bundle, a file is missing, added or altered, or its format is another.
    """
    listing = folder / "hashes.json"
    if not listing.is_file():
        raise StoreError(
            "not a bundle",
            where=str(folder.name),
            remedy="Give the `bundle` folder of a run's results",
        )
    hashes = json.loads(listing.read_text("utf-8"))
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p != listing}
    if there != set(hashes):
        raise StoreError(
            "files are missing from the bundle or were added",
            value=", ".join(sorted(there ^ set(hashes))),
            remedy="Copy it again",
        )
    for name, expected in hashes.items():
        if hash_file(folder / name) != expected:
            raise StoreError(
                "a file of the bundle was altered",
                where=name,
                remedy="Copy it again from where it was made",
            )
    about = json.loads((folder / "bundle.json").read_text("utf-8"))
    if about["format"] != FORMAT:
        raise StoreError(
            "the bundle has another format",
            value=str(about["format"]),
            remedy=f"This metasight reads format {FORMAT}",
        )
    states = {
        n: json.loads((folder / f).read_text("utf-8")) for n, f in about.pop("models").items()
    }
    features = tuple(
        Feature(**{**f, "kind": Kind(f["kind"]), "levels": tuple(f["levels"])})
        for f in about.pop("features")
    )
    for name in ("format", "disclaimer"):
        about.pop(name)
    horizons, grid = tuple(about.pop("horizons_days")), tuple(about.pop("grid_days"))
    return Bundle(features=features, states=states, horizons_days=horizons, grid_days=grid, **about)


def _card(bundle: Bundle) -> str:
    lines = [
        f"# Model card: {bundle.headline_model}",
        "",
        DISCLAIMER,
        "",
        f"- Protocol: {bundle.protocol}, version {bundle.protocol_version}",
        f"- Endpoint: {bundle.endpoint}",
        f"- Models: {', '.join(bundle.states)}",
        f"- Features: {', '.join(f.name for f in bundle.features[:12])}"
        + (f" and {len(bundle.features) - 12} more" if len(bundle.features) > 12 else ""),
        "",
        "## Training data",
        "",
        *(f"- {k}: {v}" for k, v in bundle.training.items()),
        "",
        "## Cross-fitted performance",
        "",
        *(f"- {k}: {v}" for k, v in bundle.performance.items()),
        "",
    ]
    return "\n".join(lines)

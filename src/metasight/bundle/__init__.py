"""The locked recipe: all that a new patient, another hospital and the workbench need.

Layout of a bundle's folder (or of the zip that holds the same files)::

    bundle.json      what it is: endpoint, horizons, features, models, training summary
    protocol.json    the protocol with its data dictionary, in full
    settings.json    how slides, scans, texture, patches and tables are measured and read
    models/*.json    everything each model learnt; baselines by month, no patient's day
    refits/*.json    the headline model refitted to resamples: how stable a risk is
    intervals.json   the refits that a patient's interval comes from; absent where there are none
    generator/       paints markers on H&E of new patients; only where the study has one
    model_card.md    for people
    sbom.json        what software made it (CycloneDX)
    hashes.json      sha256 of every other file

Only JSON and safetensors; loading runs no code from it.
"""

from __future__ import annotations

from metasight.bundle.content import FORMAT, Bundle
from metasight.bundle.lock import save
from metasight.bundle.read import read, unpacked

__all__ = ["FORMAT", "Bundle", "read", "save", "unpacked"]

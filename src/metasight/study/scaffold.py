"""A commented ``study.toml`` for a protocol, its mapping filled from a table's header if given."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from metasight.protocol.study import Protocol, Variable

_ROLES = {
    "design": "design: centre, arm and the dates that times count from",
    "predictor": "predictors",
    "treatment": "treatment",
    "criterion": "needed by criteria only",
    "outcome": "outcome (give either dates or days; days win)",
}


def study_toml(
    protocol: Protocol, *, name: str, vault: str, table: str, id_column: str, header: Sequence[str]
) -> str:
    """Text of a study file.

    Parameters
    ----------
    protocol
        Whose dictionary, criteria and endpoints are listed.
    name
        Protocol name as ``study.toml`` gives it.
    vault
        Folder with the key of the pseudonyms, relative to the study folder.
    table
        Path of the patient table, relative to the study folder.
    id_column
        Column of the patient id.
    header
        Column names of the table; a variable whose name is among them (capitals and separators
        aside) is mapped, the others are left as comments.
    """
    columns = {_plain(c): c for c in header}
    parts = [
        f"# A {_one_line(f'{protocol.id} study ({protocol.registration})')}. Lines with # in front "
        "are choices not taken.\n# Check it with `metasight check`, then `metasight run`.\n",
        f"protocol = {_q(name)}",
        'title = ""',
        "# The folder with the key that makes pseudonyms of patient ids. Send it to nobody.",
        f"vault = {_q(vault)}",
        '# on_problem = "exclude"   # leave out a row with a problem, with a ledger row',
        "# centres = []             # names that may occur",
        "",
        "[patients]",
        f"path = {_q(table)}",
        f"id = {_q(id_column)}",
        '# format = "redcap"         # a raw export; then also dictionary = "….csv"',
        '# encoding = "cp1252"       # text that is not UTF-8',
        '# decimal = ","',
        '# missing = ["NA", "-9"]    # texts that mean missing',
        "",
        "# A further table whose numeric columns are one modality:",
        "# [modalities.genes]",
        '# path = "genes.csv"',
        '# id = "patient_id"',
        "",
        *_slides(protocol),
        *_scans(protocol),
        "# Canonical variable = your column. With another unit, codes or date format:",
        '#   tumour_size_mm = { column = "size", unit = "cm" }',
        '#   er_positive = { column = "er", values = { pos = true, neg = false } }',
        '#   surgery_date = { column = "op", date_format = "%d.%m.%Y" }',
        "[columns]",
        *_mapping(protocol, columns),
        "",
        "# The same for every patient, with the reason:",
        "[constants]",
        '# sex = { value = "female", reason = "the series holds women only" }',
        "",
        "# Criteria this study cannot assess, with the reason that ledger and report will show.",
        "# Every other one is assessed; a patient for whom one stays unknown is not analysed.",
        "[waive]",
        *(_criterion(c.id, c.text, c.evidence) for c in protocol.criterion),
        "",
        "# Outcomes that were not recorded, with the reason:",
        "[not_recorded]",
        '# death = "…"',
        "",
        *_analysis(protocol),
        "",
        *_models(protocol),
    ]
    return "\n".join(parts) + "\n"


def _slides(protocol: Protocol) -> list[str]:
    if not any(c.evidence == "slide quality" for c in protocol.criterion):
        return []
    return [
        "# Slides: a table with a row a slide (columns patient, file, stain, markers).",
        "# [slides]",
        '# path = "slides.csv"',
        '# id = "patient"',
        '# folder = "slides"          # where the files are',
        "# mpp = 0.25                # micrometres a pixel, where files do not say it",
        '# mpp_of = { "s1.svs" = 0.5 } # replaces what this file says',
        '# channels = { "Opal 690" = "Pan-CK" }   # channel in the files and its marker',
        "",
    ]


def _scans(protocol: Protocol) -> list[str]:
    if not any(c.evidence.startswith("CT") for c in protocol.criterion):
        return []
    return [
        "# CT and PET: a table with a row a file",
        "# (columns patient, kind, path, roi, x_mm, y_mm, z_mm).",
        "# [scans]",
        '# path = "scans.csv"',
        '# id = "patient"',
        '# folder = "scans"           # where the files are',
        "",
    ]


def _analysis(protocol: Protocol) -> list[str]:
    survival = protocol.primary.type == "survival"
    return [
        "[analysis]",
        "seed = 20250101",
        "folds = 5",
        "repeats = 5",
        "bootstrap = 500",
        'reference_model = "clinical"',
        'headline_model = "forest"',
        '# subgroups = ["er_positive"]'
        if "er_positive" in protocol.variables
        else "# subgroups = []",
        '# single_centre_reason = "…"   # required when there is one centre only',
        "# first_test_year = 2020",
        *(["# horizons_years = [5]"] if survival else []),
    ]


def _mapping(protocol: Protocol, columns: dict[str, str]) -> list[str]:
    lines: list[str] = []
    for role, title in _ROLES.items():
        lines += ["", f"# -- {title}"]
        for variable in protocol.variable:
            if variable.role == role and variable.evidence in {"table", "CT measurement"}:
                lines.append(_line(variable, columns.get(_plain(variable.name))))
    return lines


def _line(variable: Variable, column: str | None) -> str:
    about = _one_line(f"{variable.label}: {variable.accepted}")
    if column is None:
        return f'# {variable.name} = "…"   # {about}'
    return f"{variable.name} = {_q(column)}   # {about}"


def _criterion(name: str, text: str, evidence: str) -> str:
    if evidence.startswith("table"):
        return f'# {name} = "…"   # {_one_line(text)}'
    about = _one_line(f"{text} ({evidence})")
    if evidence.startswith("CT"):
        return f'{name} = "no CT scans are given in this study"   # {about}; delete it with [scans]'
    return f'{name} = "no slides are given in this study"   # {about}; delete it with [slides]'


def _models(protocol: Protocol) -> list[str]:
    if protocol.primary.type == "nodal_stage":
        chosen = [
            ("ordinal", "clinical", ""),
            ("forest", "forest", ""),
            ("nodal_size", "size alone", ""),
        ]
    else:
        chosen = [("elastic_net_cox", "clinical", ""), ("forest", "forest", "")]
        if "positive_nodes" in protocol.variables:
            chosen.append(("npi", "Nottingham Prognostic Index", ""))
    lines = ["# Models: kind, name, and modalities they read (clinical without any)."]
    for kind, name, _ in chosen:
        lines += ["[[model]]", f"kind = {_q(kind)}", f"name = {_q(name)}", ""]
    competing = [e for e in protocol.endpoint if e.type == "survival" and e.competing]
    for endpoint in competing:
        lines += [
            f"# For the endpoint: {_one_line(endpoint.label)}",
            "# [[model]]",
            '# kind = "cause_specific_cox"',
            f'# name = "clinical, {endpoint.name.replace("_", " ")}"',
            f"# endpoints = [{_q(endpoint.name)}]",
            "",
        ]
    return lines


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _one_line(comment: str) -> str:
    # A protocol's texts may have several lines; a comment ends with its line.
    return " ".join(comment.split())


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

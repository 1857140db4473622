"""A commented ``study.toml`` for a protocol, its mapping filled from a table's header if given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from metasight.cohort.settings import TableSettings
from metasight.models.published import SCORES
from metasight.protocol.study import Protocol, Variable
from metasight.study.propose import Proposal
from metasight.study.status_pair import StatusPair

_ROLES = {
    "design": "design: centre, arm and the dates that times count from",
    "predictor": "predictors",
    "treatment": "treatment",
    "criterion": "needed by criteria only",
    "outcome": "outcome (give either dates or days; days win)",
}


def study_toml(
    protocol: Protocol,
    *,
    name: str,
    vault: str,
    table: TableSettings,
    proposals: Mapping[str, Proposal],
    images: Mapping[str, str],
    pairs: Sequence[StatusPair] = (),
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
        The patient table: path, column of the id, sheet, row of the header.
    proposals
        Variable → what a table's column probably is; one that is not sure is written as a comment
        with a question mark.
    images
        ``slides`` and ``scans`` whose tables are there → their column of the patient id.
    pairs
        Outcomes that the table gives by a status and a time; proposed with a question mark, in
        place of their columns.
    """
    of_pairs = {name for p in pairs for name in (p.event, f"{p.event}_days")}
    proposals = {n: p for n, p in proposals.items() if n not in of_pairs}
    parts = [
        f"# A {_one_line(f'{protocol.id} study ({protocol.registration})')}. Lines that begin "
        "with # are options not in use.\n# Check it with `metasight check`, then `metasight "
        "run`.\n",
        f"protocol = {_q(name)}",
        'title = ""',
        "# The folder with the key that makes pseudonyms of patient ids. Keep it secret.",
        f"vault = {_q(vault)}",
        '# on_problem = "exclude"   # leave out a row with a problem, with a ledger row',
        "# centres = []             # names that may occur",
        "",
        *_patients(table),
        *_slides(protocol, images.get("slides")),
        *_scans(protocol, images.get("scans")),
        *_columns(protocol, proposals, pairs),
        *_not_assessed(protocol, images),
        *_analysis(protocol),
        "",
        *_models(protocol, proposals | dict.fromkeys(of_pairs), images),
    ]
    return "\n".join(parts) + "\n"


def _columns(
    protocol: Protocol, proposals: Mapping[str, Proposal], pairs: Sequence[StatusPair]
) -> list[str]:
    return [
        "# Canonical variable = your column. With another unit, codes or date format:",
        *_examples(protocol),
        "# A line with # ? in front is a proposal from the table that a person has to confirm.",
        "[columns]",
        *_mapping(protocol, proposals),
        "",
        *(_pair(p) for p in pairs),
        *([] if pairs else _time_and_status(protocol)),
    ]


def _not_assessed(protocol: Protocol, images: Mapping[str, str]) -> list[str]:
    """Constants, waivers, and what was not recorded."""
    return [
        "# The same for every patient, with the reason:",
        "[constants]",
        *_constant(protocol),
        "",
        "# Criteria this study cannot assess, with the reason that ledger and report will show.",
        "# Every other one is assessed; a patient for whom one remains unknown is not analysed.",
        *_part(protocol),
        "[waive]",
        *(_criterion(c.id, c.text, c.evidence, images) for c in protocol.criterion),
        "",
        "# Outcomes that were not recorded, with the reason:",
        "[not_recorded]",
        '# death = "…"',
        "",
    ]


def _patients(table: TableSettings) -> list[str]:
    """Sections of the patient table and of further ones."""
    return [
        "[patients]",
        f"path = {_q(table.path)}",
        f"id = {_q(table.id)}",
        f"sheet = {_q(table.sheet)}" if table.sheet else '# sheet = "…"  # of a workbook',
        f"header_row = {table.header_row}" if table.header_row > 1 else "# header_row = 2",
        "# skip_rows = [3]           # rows below the header that are not patients (units)",
        *_redcap(table),
        f"encoding = {_q(table.encoding)}"
        if table.encoding != "utf-8"
        else '# encoding = "cp1252"       # text that is not UTF-8',
        'decimal = ","               # as in the table'
        if table.decimal == ","
        else '# decimal = ","',
        '# missing = ["NA", -9]      # codes that mean missing; -9.0 is one of them',
        f"ids = {_q(table.ids)}"
        if table.ids != "text"
        else '# ids = "number"            # 0017, 17 and 17.0 are one id',
        "",
        "# A further table with one row a patient, joined by the id; below, its columns are given",
        '# with its name: { table = "pathology", column = "…" }',
        "# [tables.pathology]",
        '# path = "pathology.csv"',
        '# id = "patient_id"',
        "",
        "# A further table whose numeric columns are one modality:",
        "# [modalities.genes]",
        '# path = "genes.csv"',
        '# id = "patient_id"',
        "",
    ]


def _redcap(table: TableSettings) -> list[str]:
    if table.dictionary is None:
        return ['# format = "redcap"         # a raw export; then also dictionary = "….csv"']
    return ['format = "redcap"', f"dictionary = {_q(table.dictionary)}"]


def _examples(protocol: Protocol) -> list[str]:
    """Mappings of the protocol's own variables, one of each kind."""
    days = [v.name for v in protocol.variable if v.role == "outcome" and v.unit == "days"]
    flags = [v.name for v in protocol.variable if v.type == "boolean" and v.role == "predictor"]
    age = [v.name for v in protocol.variable if v.unit == "years"]
    sizes = [v.name for v in protocol.variable if v.unit == "mm"]
    zero = protocol.time_zero_date
    event = days[0].removesuffix("_days") if days else ""
    lines = [(sizes, '{ column = "size", unit = "cm" }')]
    lines += [(flags, '{ column = "marker", values = { pos = true, neg = false } }')]
    lines += [([zero], '{ column = "day", date_format = "%d.%m.%Y" }')]
    lines += [(age, '{ years_between = ["birth_date", "day"] }')]
    lines += [(days, '{ days_between = ["day", "event_day"] }')]
    lines += [([event] if event else [], '{ filled = "event_day", missing = ["NP"] }')]
    return [f"#   {names[0]} = {mapping}" for names, mapping in lines if names]


def _pair(pair: StatusPair) -> str:
    codes = ", ".join(f"{_q(code)} = {_q(what)}" for code, what in pair.codes.items())
    why = "times of patients without the event, too" + (f"; {pair.why}" if pair.why else "")
    lines = [
        f"[[time_and_status]]   # [from the cells: {_one_line(why)}]",
        f"time = {_q(pair.time)}",
        f"unit = {_q(pair.unit)}",
        f"status = {_q(pair.status)}",
        f"codes = {{ {codes} }}",
    ]
    if pair.date_format:
        lines.append(f"date_format = {_q(pair.date_format)}")
    if pair.missing:
        lines.append(f"missing = [{', '.join(map(_q, pair.missing))}]")
    return "\n".join(f"# ? {line}" for line in lines) + "\n"


def _time_and_status(protocol: Protocol) -> list[str]:
    events = [
        v.name
        for v in protocol.variable
        if v.role == "outcome" and v.type == "boolean" and f"{v.name}_days" in protocol.variables
    ]
    if not events:
        return []
    codes = ", ".join(f"{i} = {_q(e)}" for i, e in enumerate(events, start=1))
    return [
        "# One time and one status column for the outcome, in place of its columns above:",
        "# [[time_and_status]]",
        '# time = "time"',
        '# unit = "days"             # or weeks, months, years',
        '# status = "status"',
        f'# codes = {{ 0 = "censored", {codes} }}',
        "",
    ]


def _constant(protocol: Protocol) -> list[str]:
    """An example with a variable of the protocol."""
    for variable in protocol.variable:
        if variable.role == "criterion" and variable.type in {"boolean", "category"}:
            value = "true" if variable.type == "boolean" else _q(variable.values[0])
            reason = _q("why it is so for every patient of the series")
            return [f"# {variable.name} = {{ value = {value}, reason = {reason} }}"]
    return []


def _part(protocol: Protocol) -> list[str]:
    for criterion in protocol.criterion:
        if criterion.evidence.startswith("table") and len(criterion.parts) > 1:
            name = f"{criterion.id}.{criterion.parts[-1]}"
            return [f'# One part of a criterion alone, the rest is assessed: {_q(name)} = "…"']
    return []


def _slides(protocol: Protocol, id_column: str | None) -> list[str]:
    if not any(c.evidence == "slide quality" for c in protocol.criterion):
        return []
    mark = "# " if id_column is None else ""
    return [
        "# Slides: a table with a row a slide (columns patient, file, stain, markers).",
        f"{mark}[slides]",
        f'{mark}path = "slides.csv"',
        f"{mark}id = {_q(id_column or 'patient')}",
        '# folder = "slides"          # where the files are',
        "# mpp = 0.25                # micrometres per pixel, where files do not state it",
        '# mpp_of = { "s1.svs" = 0.5 } # replaces what this file states',
        *(
            f'# channels = {{ "Opal 690" = {_q(m.name)} }}   # channel in the files and its marker'
            for m in protocol.marker[:1]
        ),
        "",
    ]


def _scans(protocol: Protocol, id_column: str | None) -> list[str]:
    if not any(c.evidence.startswith("CT") for c in protocol.criterion):
        return []
    mark = "# " if id_column is None else ""
    return [
        "# CT and PET: a table with a row a file",
        "# (columns patient, kind, path, roi, x_mm, y_mm, z_mm).",
        f"{mark}[scans]",
        f'{mark}path = "scans.csv"',
        f"{mark}id = {_q(id_column or 'patient')}",
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


def _mapping(protocol: Protocol, proposals: Mapping[str, Proposal]) -> list[str]:
    lines: list[str] = []
    for role, title in _ROLES.items():
        lines += ["", f"# -- {title}"]
        for variable in protocol.variable:
            if variable.role == role and variable.evidence in {"table", "CT measurement"}:
                lines.append(_line(variable, proposals.get(variable.name)))
    return lines


def _line(variable: Variable, proposal: Proposal | None) -> str:
    about = _one_line(f"{variable.label}: {variable.accepted}")
    if proposal is None:
        return f'# {variable.name} = "…"   # {about}'
    why = f" [from the cells: {_one_line(proposal.why)}]" if proposal.why else ""
    mark = "" if proposal.sure else "# ? "
    return f"{mark}{variable.name} = {proposal.mapping}   # {about}{why}"


def _criterion(name: str, text: str, evidence: str, images: Mapping[str, str]) -> str:
    given = ("scans" if evidence.startswith("CT") else "slides") in images
    if evidence.startswith("table") or given:
        return f'# {name} = "…"   # {_one_line(text)}'
    about = _one_line(f"{text} ({evidence})")
    if evidence.startswith("CT"):
        return f'{name} = "no CT scans are given in this study"   # {about}; delete it with [scans]'
    return f'{name} = "no slides are given in this study"   # {about}; delete it with [slides]'


def _models(
    protocol: Protocol, proposals: Mapping[str, Proposal | None], images: Mapping[str, str]
) -> list[str]:
    if protocol.primary.type == "nodal_stage":
        chosen = [("ordinal", "clinical"), ("forest", "forest"), ("nodal_size", "size alone")]
    else:
        chosen = [("elastic_net_cox", "clinical"), ("forest", "forest")]
        if "positive_nodes" in protocol.variables:
            chosen.append(("npi", "Nottingham Prognostic Index"))
    lines = ["# Models: kind, name, and the modalities they read (default: clinical)."]
    for kind, name in chosen:
        entry = ["[[model]]", f"kind = {_q(kind)}", f"name = {_q(name)}"]
        lacking = _lacking(kind, proposals, images)
        if lacking:
            lines.append(f"# Needs {', '.join(lacking)}, which the table does not seem to hold:")
            entry = [f"# {line}" for line in entry]
        lines += [*entry, ""]
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


def _lacking(
    kind: str, proposals: Mapping[str, Proposal | None], images: Mapping[str, str]
) -> list[str]:
    """Inputs of a published score that are in no table; none where there is no table yet."""
    if kind not in SCORES or not proposals or "scans" in images:
        return []
    return [name for name in SCORES[kind].inputs if name not in proposals]


def _one_line(comment: str) -> str:
    # A protocol's texts may have several lines; a comment ends with its line.
    return " ".join(comment.split())


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

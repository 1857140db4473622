"""One printed page about one patient: the risk, its interval, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metasight.biomarkers.names import in_words
from metasight.features.columns import Feature
from metasight.protocol.endpoint import Endpoint
from metasight.protocol.study import Protocol
from metasight.report.blocks import (
    Block,
    Callout,
    Column,
    DataTable,
    Document,
    Facts,
    Heading,
    Paragraph,
    Row,
    numeric,
)
from metasight.report.html import to_html
from metasight.report.pdf import to_pdf
from metasight.report.wording import listed, number, percent, plural, span, years

Found = Mapping[str, Any]

_SHOWN = 8
"""Contributions on the page; all are in predictions.json."""


def write_page(
    found: Found, patient: Found, protocol: Protocol, features: Mapping[str, Feature], out: Path
) -> None:
    """Write ``<pseudonym>.html`` and ``.pdf``; the same values give the same bytes.

    Parameters
    ----------
    found
        ``predictions.json``.
    patient
        One of its patients.
    protocol, features
        Labels and units.
    out
        Folder.
    """
    document = page(found, patient, protocol, features)
    name = patient["patient"]
    (out / f"{name}.html").write_bytes(to_html(document).encode("utf-8"))
    (out / f"{name}.pdf").write_bytes(to_pdf(document))


def page(
    found: Found, patient: Found, protocol: Protocol, features: Mapping[str, Feature]
) -> Document:
    """The page as blocks."""
    title = f"Predicted risk: patient {patient['patient']}"
    foot = f"metasight, model of run {found['trained_on']['run']}. Not a medical device."
    return Document(
        title=title,
        kind="One patient’s predicted risk",
        running=title,
        foot=foot,
        description=f"{title}. {foot}",
        front=(*_risks(found, patient, protocol),),
        blocks=(
            *_rests_on(patient, protocol, features),
            *_open(patient, protocol, features),
            *_trained(found, protocol),
        ),
    )


def _risks(found: Found, patient: Found, protocol: Protocol) -> list[Block]:
    warning = Callout(
        "warning",
        "Research only",
        (
            *([found["demonstration"]] if found["demonstration"] else []),
            "Research software, not a medical device. This risk is an estimate based on the "
            "training patients. Do not use it to decide on treatment.",
        ),
    )
    if patient["why_none"]:
        return [
            warning,
            Callout(
                "finding",
                "No risk is given for this patient",
                tuple(f"{why[0].upper()}{why[1:]}." for why in patient["why_none"]),
            ),
        ]
    endpoint = next(e for e in protocol.endpoint if e.name == found["endpoint"])
    shown = [(_target(r["target"]), _risk(r["risk"])) for r in patient["risks"]]
    lines: list[Block] = [warning, Paragraph(_of_what(endpoint, protocol), lead=True)]
    lines.append(Facts(tuple(shown), panel=True))
    with_interval = patient["risks"][0]["risk"]["lower"] is not None
    lines.append(
        Paragraph(
            what_interval(found["interval"])
            if with_interval
            else "No interval is given because the model has too few refits or too few training "
            "patients had the event."
        )
    )
    last = patient["risks"][-1]
    if last["percentile"] is not None and found["endpoint"]:
        lines.append(
            Paragraph(
                f"{percent(last['percentile'] / 100)} of the training patients had a lower "
                + (
                    f"predicted risk at {_target(last['target'])}."
                    if last["target"].isdigit()
                    else f"predicted probability of {last['target']}."
                )
            )
        )
    return lines


def what_interval(kind: str) -> str:
    """What a patient's interval is of, in words.

    Parameters
    ----------
    kind
        ``true risk``, or ``refits`` where only the spread of the model's own refits is known.
    """
    if kind == "true risk":
        return (
            "The 95 % interval shows where the true risk of patients with these recorded values "
            "may lie. It comes from refits of a penalised regression on the same features and "
            "allows for effects that are not linear. It does not allow for interactions between "
            "features, or for differences between hospitals."
        )
    return (
        "The 95 % interval shows how much the risk changes when the model is refitted to other "
        "patients. It is narrower than an interval of the true risk, and does not show that the "
        "model is correct."
    )


def _of_what(endpoint: Endpoint, protocol: Protocol) -> str:
    """Which risk it is, and of whom where patients enter later than at time zero."""
    if endpoint.type == "nodal_stage" or not protocol.landmark_days:
        return f"{endpoint.label}: predicted risk."
    return (
        f"{endpoint.label}: predicted risk of a patient without an event by day "
        f"{protocol.landmark_days} after the {protocol.time_zero}."
    )


def _target(target: str) -> str:
    return years(float(target)) if target.isdigit() else target


def _risk(risk: Found) -> str:
    text = percent(risk["value"], 1)
    if risk["lower"] is None or risk["upper"] is None:
        return text
    return f"{text} ({span(100 * risk['lower'], 100 * risk['upper'], 1)})"


def _rests_on(patient: Found, protocol: Protocol, features: Mapping[str, Feature]) -> list[Block]:
    if not patient["contributions"]:
        return []
    rows = [
        Row((_label(c["name"], protocol, features), c["value"], _points(c["points"])))
        for c in patient["contributions"][:_SHOWN]
    ]
    rest = len(patient["contributions"]) - _SHOWN
    notes = (
        "Change: percentage points by which the measured value changes this patient’s risk, "
        "compared with an imputed value. It describes the model, not causes.",
        *([f"{plural(rest, 'further feature')} in predictions.json."] if rest > 0 else []),
    )
    blocks: list[Block] = [
        Heading(1, "What the risk rests on", "rests"),
        DataTable(
            anchor="contributions",
            caption="Features with the largest effect on this patient’s risk",
            columns=(Column("Feature"), Column("Value"), numeric("Change, points")),
            rows=tuple(rows),
            notes=notes,
        ),
    ]
    if len(patient["by_modality"]) > 1:
        told = [f"{c['name']} {_points(c['points'])}" for c in patient["by_modality"]]
        blocks.append(Paragraph(f"By modality, in percentage points: {listed(told)}."))
    return blocks


def _label(name: str, protocol: Protocol, features: Mapping[str, Feature]) -> str:
    variable = protocol.variables.get(name)
    if variable is not None:
        return f"{variable.label} ({variable.unit})" if variable.unit else variable.label
    words = in_words(name)
    if words != name:
        return words
    feature = features.get(name)
    return f"{name} ({feature.unit})" if feature is not None and feature.unit else name


def _points(value: float) -> str:
    return number(value, 1, signed=True)


def _open(patient: Found, protocol: Protocol, features: Mapping[str, Feature]) -> list[Block]:
    blocks: list[Block] = []
    if patient["missing"]:
        names = [_label(n, protocol, features) for n in patient["missing"]]
        more = f" and {len(names) - 12} more" if len(names) > 12 else ""
        blocks.append(Paragraph(f"Unknown and imputed as in training: {listed(names[:12])}{more}."))
    if patient["not_assessed"]:
        blocks.append(
            Paragraph(
                "Criteria that could not be assessed (the risk holds for patients who meet them): "
                f"{'; '.join(patient['not_assessed'])}."
            )
        )
    if patient["distance"] is not None:
        blocks.append(
            Paragraph(
                f"Distance to the training patients: {number(patient['distance'], 2)} of the limit."
            )
        )
    return blocks


def _trained(found: Found, protocol: Protocol) -> list[Block]:
    told = found["trained_on"]
    return [
        Heading(1, "The model", "model"),
        Paragraph(
            f"{found['model']}, trained on {plural(told['patients'], 'patient')} of "
            f"{plural(told['centres'], 'centre')} with {plural(told['events'], 'event')} "
            f"(run {told['run']}), under protocol {protocol.id}, version {protocol.version}. "
            f"{protocol.intended_use}."
        ),
        *_recalibrated(found["recalibrated"]),
    ]


def _recalibrated(told: Found | None) -> list[Block]:
    """That the model is not as it was trained, and that nobody has judged what it became."""
    if told is None:
        return []
    what = {
        "in-the-large": "its risks were recalibrated in the large",
        "slope": "its risks were recalibrated by intercept and slope",
        "refit": "its last step was estimated again",
    }[told["method"]]
    return [
        Paragraph(
            f"After its training {what} in {plural(told['patients'], 'external patient')} with "
            f"{plural(told['events'], 'event')}. The model as it is now has not been validated in "
            "any other patients."
        )
    ]

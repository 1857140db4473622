"""The whole document: references lead somewhere, anchors are one, the order is a paper's."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import replace

import pytest

from metasight.report.blocks import Callout, Heading, Ref
from metasight.report.document import compose
from metasight.report.summary import NOT_A_DEVICE


def found(value, kind):
    """Every object of a kind anywhere in a tree of blocks."""
    if isinstance(value, kind):
        yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from found(getattr(value, field.name), kind)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from found(item, kind)


def anchors(document) -> Counter[str]:
    blocks = (*document.front, *document.blocks)
    return Counter(b.anchor for b in blocks if hasattr(b, "anchor"))


def bare(contents):
    """A run that computed, recorded and fitted as little as one can."""
    first = replace(
        contents.analyses[0],
        centres=None,
        gaps=(),
        missing={},
        deviations=(),
        refused_horizons=(),
    )
    return replace(
        contents,
        analyses=(first,),
        optimism=None,
        sample_size=None,
        models=(),
        checks=(),
        inputs={},
        constants={},
        waived={},
        not_recorded={},
    )


@pytest.fixture(
    scope="module", params=["survival", "nodal", "null_signal", "bare survival", "bare nodal"]
)
def document(request):
    *how, name = request.param.split()
    contents = request.getfixturevalue(name)
    return compose(bare(contents) if how else contents)


def test_every_reference_leads_to_something_in_the_report(document):
    wanted = {r.anchor for r in found((document.front, document.blocks), Ref)}
    assert wanted
    assert wanted <= set(anchors(document))


def test_no_two_things_have_one_name(document):
    assert [a for a, n in anchors(document).items() if n > 1] == []


def test_sections_come_in_the_order_of_a_paper(document):
    heads = [b.anchor for b in document.blocks if isinstance(b, Heading) and b.level == 1]
    order = ["participants", "methods", "performance", "heterogeneity", "limitations"]
    assert [h for h in heads if h in order] == order
    # a subsection stands under a section
    first = next(b for b in document.blocks if isinstance(b, Heading))
    assert first.level == 1


def test_every_page_and_the_first_say_what_this_is_not(document):
    assert NOT_A_DEVICE in document.foot
    warned = [b for b in document.front if isinstance(b, Callout) and b.kind == "warning"]
    assert NOT_A_DEVICE in warned[0].paragraphs


def test_a_demonstration_is_one_in_name_too(null_signal, survival):
    assert compose(null_signal).kind == "Demonstration: report of a prediction-model study"
    assert compose(survival).kind == "Report of a prediction-model study"

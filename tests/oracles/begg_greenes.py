"""Begg and Greenes's correction of one binary test, in closed form."""

from __future__ import annotations

from metasight.errors import EvaluationError


def begg_greenes_table(
    positive: tuple[int, int, int], negative: tuple[int, int, int]
) -> tuple[float, float]:
    """Sensitivity and specificity of one binary test, in closed form.

    Parameters
    ----------
    positive, negative
        Of patients with a positive and with a negative test: diseased, not diseased, not examined.

    References
    ----------
    Begg and Greenes 1983.
    """
    told = []
    for diseased, healthy, unknown in (positive, negative):
        examined = diseased + healthy
        if min(diseased, healthy, unknown) < 0 or examined == 0:
            raise EvaluationError(
                "each test result needs examined patients", value=f"{positive}, {negative}"
            )
        told.append(
            ((examined + unknown) * diseased / examined, (examined + unknown) * healthy / examined)
        )
    (a, b), (c, d) = told
    return a / (a + c), d / (b + d)

"""Follow-ups of a few patients, drawn so that days, events and censorings coincide."""

from __future__ import annotations

from hypothesis import strategies as st

PATIENT = st.tuples(st.integers(1, 6), st.integers(0, 2))
"""Day and status."""


def few(least: int = 1, most: int = 9, *, competing: bool = True) -> st.SearchStrategy:
    """``(time, status)`` of so many patients."""
    one = PATIENT if competing else st.tuples(st.integers(1, 6), st.integers(0, 1))
    return st.lists(one, min_size=least, max_size=most).map(
        lambda rows: ([t for t, _ in rows], [s for _, s in rows])
    )


def weighted(least: int = 2, most: int = 8) -> st.SearchStrategy:
    """``(time, status, weight)``, somebody drawn at least once."""
    rows = st.lists(st.tuples(PATIENT, st.integers(0, 3)), min_size=least, max_size=most)
    return rows.filter(lambda r: any(w for _, w in r)).map(
        lambda r: ([p[0] for p, _ in r], [p[1] for p, _ in r], [w for _, w in r])
    )

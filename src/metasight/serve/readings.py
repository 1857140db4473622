"""Readings of verdicts by several readers who do not see each other's, and how far they agree.

A reading changes nothing in the study: where readers disagree, one of them, or a third, decides on
the page of the review. What a reader has read is not shown to another one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from metasight.cohort.reader_decisions import VERDICTS
from metasight.errors import StudyError
from metasight.ledger import Fate
from metasight.serve.database import Database
from metasight.serve.review import Item
from metasight.validation.agreement import Kappa, kappa

FEWEST = 5
"""Items that two readers have both read before their agreement is shown: of fewer it would tell
one reader what the other has read."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of two readers about one kind of verdict.

    Attributes
    ----------
    readers
        Both names.
    both
        Items that both have read.
    found
        None as long as these are fewer than `FEWEST`.
    """

    readers: tuple[str, str]
    both: int
    found: Kappa | None


class Readings:
    """All readings of a study, each on the disk when it is noted.

    Parameters
    ----------
    database
        That holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, item: Item, reader: str, verdict: Fate) -> None:
        """Note what a reader reads; it cannot be changed afterwards.

        Raises
        ------
        StudyError
            The reader has read this already, or it is no verdict.
        """
        if verdict not in VERDICTS:
            raise StudyError("not a verdict", value=str(verdict), remedy=", ".join(VERDICTS))
        at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        added = self._database.write(
            "INSERT INTO readings VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (item.key, item.about, reader, str(verdict), at),
        )
        if not added:
            raise StudyError(
                "you have read this already",
                remedy="A reading stays as it is; decide on the page of the review instead",
            )

    def forget(self, patients: Sequence[str]) -> int:
        """Delete every reading about some patients (pseudonyms); how many there were."""
        self._database.rows("PRAGMA secure_delete = ON")  # what was deleted is overwritten
        deleted = sum(
            self._database.write("DELETE FROM readings WHERE item LIKE ?", (f"{patient}|%",))
            for patient in patients
        )
        self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return deleted

    def of(self, reader: str, about: str) -> Mapping[str, Fate]:
        """What one reader has read about one kind of verdict, by the item's key."""
        rows = self._database.rows(
            "SELECT item, verdict FROM readings WHERE reader = ? AND about = ?", (reader, about)
        )
        return {item: Fate(verdict) for item, verdict in rows}

    def agreements(self, about: str) -> tuple[Agreement, ...]:
        """How far each two readers agree about one kind of verdict."""
        names = [
            row[0]
            for row in self._database.rows(
                "SELECT DISTINCT reader FROM readings WHERE about = ? ORDER BY reader", (about,)
            )
        ]
        read = {name: self.of(name, about) for name in names}
        return tuple(_agreement((a, b), read[a], read[b]) for a, b in combinations(names, 2))

    def apart(self, about: str) -> tuple[str, ...]:
        """Keys of items about which readers disagree; for whoever settles them."""
        rows = self._database.rows(
            "SELECT item FROM readings WHERE about = ? GROUP BY item "
            "HAVING count(DISTINCT verdict) > 1 ORDER BY item",
            (about,),
        )
        return tuple(row[0] for row in rows)


def unread(items: Sequence[Item], own: Mapping[str, Fate]) -> list[Item]:
    """Items that a reader has still to read, in the order of patients."""
    return sorted((i for i in items if i.key not in own), key=lambda i: (i.patient, i.item))


def _agreement(
    readers: tuple[str, str], first: Mapping[str, Fate], second: Mapping[str, Fate]
) -> Agreement:
    both = sorted({*first} & {*second})
    found = None
    if len(both) >= FEWEST:
        found = kappa([str(first[k]) for k in both], [str(second[k]) for k in both])
    return Agreement(readers=readers, both=len(both), found=found)

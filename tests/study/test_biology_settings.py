"""``[biology]``: what is refused by itself."""

import pytest
from pydantic import ValidationError

from metasight.study.biology_settings import BiologySettings

LEAST = {"expression": "genes", "gene_sets": "sets.gmt", "log_scale": True, "adjust": ()}


def test_half_of_the_permutations_at_most_are_negative_controls():
    assert BiologySettings(**LEAST, permutations=200, null_replicates=100).null_replicates == 100
    with pytest.raises(ValidationError, match="at most half of permutations"):
        BiologySettings(**LEAST, permutations=200, null_replicates=101)


@pytest.mark.parametrize("changes", [{"smallest": 1}, {"permutations": 100}, {"colour": "red"}])
def test_what_cannot_be_is_refused(changes):
    with pytest.raises(ValidationError):
        BiologySettings(**{**LEAST, **changes})

"""The tiles used last, within a bound that holds after every step."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metasight.slides.cache import TileCache


def tile(n_bytes: int) -> np.ndarray:
    return np.zeros(n_bytes, dtype=np.uint8)


def test_the_one_not_used_for_longest_goes_first():
    cache = TileCache(30)
    for key in "abc":
        cache.put(key, tile(10))
    assert cache.get("a") is not None  # used again: b is the oldest now
    cache.put("d", tile(10))
    assert [k for k in "abcd" if cache.get(k) is not None] == ["a", "c", "d"]


def test_a_tile_larger_than_the_bound_is_not_kept_and_drives_none_out():
    cache = TileCache(30)
    cache.put("a", tile(20))
    cache.put("b", tile(31))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    cache.put("c", tile(30))
    assert cache.get("a") is None
    assert cache.bytes == 30


def test_a_key_again_takes_the_place_of_the_first():
    cache = TileCache(30)
    cache.put("a", tile(20))
    cache.put("a", tile(5))
    assert cache.bytes == 5
    assert cache.get("a").nbytes == 5


def test_a_reader_that_is_closed_leaves_nothing():
    cache = TileCache(100)
    cache.put((1, 0, 0), tile(10))
    cache.put((2, 0, 0), tile(20))
    cache.put("other", tile(5))
    cache.forget(1)
    assert cache.get((1, 0, 0)) is None
    assert cache.get((2, 0, 0)) is not None
    assert cache.bytes == 25


steps = st.lists(
    st.tuples(st.sampled_from(["put", "get", "forget"]), st.integers(0, 5), st.integers(0, 40)),
    max_size=60,
)


@given(steps)
def test_the_bound_and_the_sum_hold_after_every_step(told):
    cache, seen = TileCache(60), {}
    for what, key, n_bytes in told:
        if what == "put":
            cache.put((key, 0), tile(n_bytes))
            seen[key] = n_bytes
        elif what == "get":
            found = cache.get((key, 0))
            assert found is None or found.nbytes == seen[key]
        else:
            cache.forget(key)
            assert cache.get((key, 0)) is None
        kept = [t.nbytes for t in cache._tiles.values()]
        assert cache.bytes == sum(kept) <= 60

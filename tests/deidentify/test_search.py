"""Texts, UIDs and dates found among bytes."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.deidentify.search import Texts, dates_in, uids_in


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["Müller-Lüdenscheid", "MÜLLER-LÜDENSCHEID", "müller-lüdenscheid"])
def test_in_every_encoding_and_with_any_capitals(text, encoding):
    texts = Texts({"Müller-Lüdenscheid": "name", "Kanarius": "id"})
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    raw = noise[:999] + text.encode(encoding) + noise
    assert texts.found_in(raw) == {"name": 999}


@pytest.mark.parametrize("encoding", ["gb18030", "shift_jis", "euc_kr", "utf-8", "utf-16-le"])
def test_in_the_encodings_of_other_alphabets(encoding):
    name = "김철수" if encoding == "euc_kr" else "山田太郎"
    assert Texts({name: "name"}).found_in(b"\0\1" + name.encode(encoding)) == {"name": 2}


def test_a_number_is_not_found_within_a_longer_one():
    texts = Texts({"4711081": "identifier"})
    assert texts.found_in(b"x 4711081 y")
    assert not texts.found_in(b"2.25.9947110815")


def test_nothing_by_chance_in_noise():
    rng = np.random.default_rng(1)
    words = {"".join(chr(c) for c in rng.integers(97, 123, 6)): "name" for _ in range(2000)}
    noise = rng.integers(0, 256, 500_000, np.uint8).tobytes()
    assert Texts(words).found_in(noise) == {}
    assert Texts(words).found_in(b"ab") == {}
    assert Texts({}).found_in(noise) == {}


def test_uids():
    raw = b"\0\x011.3.6.1.4.1.22213.1\0\0\0\0" + "1.2.826.0.1".encode("utf-16-le") + b"\0\x073.14"
    assert {"1.3.6.1.4.1.22213.1", "1.2.826.0.1"} <= uids_in(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"20210317",
        b"at 20210317101112.5+0100",
        b"2021-03-17T10:11",
        b"on 17.3.2021.",
        "17.03.2021".encode("utf-16-be"),
        b"2021/03/17",
    ],
)
def test_dates(raw):
    assert dates_in(b"\x05" + raw + b"\0") == {"20210317"}


def test_what_is_no_date():
    assert dates_in(b"2.25.2021031712345 120210317 3.20210317 99991231") == set()

"""Squares of two sections by turns."""

from types import SimpleNamespace

import numpy as np

from metasight.alignment.checkerboard import checkerboard
from metasight.alignment.section import Section
from metasight.alignment.transform import Transform


def section(grey: int, mpp: float = 10.0, side: int = 200) -> Section:
    return Section(rgb=np.full((side, side, 3), grey, dtype=np.uint8), mpp=mpp, name="s")


def aligned() -> SimpleNamespace:
    whole = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return SimpleNamespace(transform=Transform.affine(whole, (2000.0, 2000.0)))


def test_squares_are_half_a_millimetre_and_the_fixed_section_is_the_first():
    board = checkerboard(section(100), section(180), aligned())
    assert board.shape == (218, 200, 3)  # a strip for the scale bar below
    assert (board[:50, :50] == 100).all()
    assert (board[52:98, 2:48] == 180).all()
    assert (board[2:48, 52:98] == 180).all()
    assert (board[50:100, 50:100] == 100).all()


def test_where_the_moving_section_does_not_reach_it_is_white():
    board = checkerboard(section(100), section(180, side=60), aligned())
    assert (board[2:48, 152:198] == 255).all()

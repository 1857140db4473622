"""Patients are left out whole."""

from __future__ import annotations

from metasight.segmentation.lesion_folds import fold_of, left_out


def test_patients_are_left_out_whole() -> None:
    patients = [str(2 * (k // 3)) for k in range(60)]  # three nodules each
    places: list[int] = []
    for fold in range(4):
        train, out = left_out(patients, fold, 4)
        assert not {patients[k] for k in train} & {patients[k] for k in out}
        assert sorted(train + out) == list(range(60))
        places += out
    assert sorted(places) == list(range(60))


def test_a_patients_fold_depends_on_nothing_but_its_name() -> None:
    assert [fold_of("104", 4), fold_of("0", 4)] == [fold_of(p, 4) for p in ("104", "0")]
    assert left_out(["0", "104"], fold_of("104", 4), 4)[1][-1] == 1
    assert {fold_of(str(k), 4) for k in range(40)} == {0, 1, 2, 3}

"""Where a band lies wholly above or below zero."""

from metasight.validation.threshold_band import BandPoint, ThresholdBand


def test_a_threshold_counts_only_where_its_whole_band_is_on_one_side():
    limits = {0.1: (0.01, 0.03), 0.2: (-0.01, 0.02), 0.3: (-0.05, -0.01), 0.4: (None, None)}
    band = ThresholdBand(
        points=tuple(
            BandPoint(threshold=t, value=0.01, lower=low, upper=high, reason="" if low else "few")
            for t, (low, high) in limits.items()
        ),
        confidence=0.95,
        critical=2.6,
        resamples=500,
    )
    assert band.above_zero == (0.1,)
    assert band.below_zero == (0.3,)

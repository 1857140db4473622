from __future__ import annotations

import pytest

from metasight.volumes.kernels import sharpness


@pytest.mark.parametrize(
    ("kernel", "maker", "expected"),
    [
        ("B30f", "SIEMENS", "smooth"),
        ("B19f", "SIEMENS", "smooth"),
        ("B70f", "SIEMENS", "sharp"),
        ("Br40d/3", "Siemens Healthineers", "smooth"),
        ("Bl57d", "SIEMENS", "sharp"),
        ("I70f", "SIEMENS", "sharp"),
        ("STANDARD", "GE MEDICAL SYSTEMS", "smooth"),
        ("LUNG", "GE MEDICAL SYSTEMS", "sharp"),
        ("BONEPLUS", "GE MEDICAL SYSTEMS", "sharp"),
        ("B", "Philips", "smooth"),
        ("D", "Philips", "sharp"),
        ("YC", "Philips", "sharp"),
        ("FC08", "TOSHIBA", "smooth"),
        ("FC51", "Canon Medical Systems", "sharp"),
        ("", "SIEMENS", "unknown"),
        ("STANDARD", "SIEMENS", "unknown"),
        ("B30f", "some other maker", "unknown"),
        ("NEW NAME", "GE MEDICAL SYSTEMS", "unknown"),
    ],
)
def test_kernels_by_maker(kernel: str, maker: str, expected: str) -> None:
    assert sharpness(kernel, maker) == expected

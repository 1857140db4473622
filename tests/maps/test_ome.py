import numpy as np
import pytest
import tifffile

from metasight.errors import MarkerError
from metasight.maps.density import DensityMap
from metasight.maps.ome import read_density_map, write_density_map


def made(ny=300, nx=531):
    rng = np.random.default_rng(0)
    support = np.ones((ny, nx), dtype=bool)
    support[: ny // 3, : nx // 2] = False
    density = rng.gamma(1.0, 800.0, (3, ny, nx)).astype(np.float32)
    error = np.sqrt(density + 1)
    error[1] = np.nan  # nobody knows this marker's error
    density[:, ~support] = np.nan
    return DensityMap(
        density=density,
        error=error,
        support=support,
        markers=("Pan-CK", "CD3", "CD20 µ"),
        spacing_um=15.7,
        origin_um=(1234.5678901234, -3.25),
    )


def test_reads_back_equal_to_the_last_bit(tmp_path):
    first = made()
    write_density_map(first, tmp_path / "a.ome.tif")
    again = read_density_map(tmp_path / "a.ome.tif")
    for name in ("density", "error"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert (first.support == again.support).all()
    assert (again.markers, again.spacing_um, again.origin_um) == (
        first.markers,
        first.spacing_um,
        first.origin_um,
    )


def test_same_map_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_density_map(made(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_programs_see_channels_spacing_and_levels(tmp_path):
    first = made()
    write_density_map(first, tmp_path / "a.ome.tif")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert tiff.is_ome
        levels = tiff.series[0].levels
        assert [level.shape[1:] for level in levels] == [(300, 531), (150, 266), (75, 133)]
        assert 'PhysicalSizeX="15.7"' in tiff.ome_metadata
        assert 'Name="Pan-CK"' in tiff.ome_metadata
        half = levels[1].asarray()
    block = first.density[0, 200:202, 400:402]
    assert half[0, 100, 200] == pytest.approx(block.mean(), rel=1e-5)
    assert not np.isfinite(half[0, 0, 0])
    assert half[-1, 0, 0] == 0


def test_other_files_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((8, 8), dtype=np.uint8))
    (tmp_path / "text.tif").write_text("not a tiff")
    (tmp_path / "empty.tif").write_bytes(b"")
    write_density_map(made(), tmp_path / "cut.tif")
    whole = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    for name in ("plain.tif", "text.tif", "empty.tif", "cut.tif", "absent.tif"):
        with pytest.raises(MarkerError, match=name):
            read_density_map(tmp_path / name)


def test_no_damage_is_more_than_a_named_error(tmp_path):
    write_density_map(made(60, 70), tmp_path / "a.ome.tif")
    whole = (tmp_path / "a.ome.tif").read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / "damaged.ome.tif"
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, min(len(whole), 3000), int(rng.integers(1, 9))):
            data[int(at)] = int(rng.integers(256))
        path.write_bytes(bytes(data))
        try:
            read_density_map(path)
        except MarkerError:
            refused += 1
    assert refused > 100

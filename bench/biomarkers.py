"""The whole biomarker panel on a made-up slide of a million cells: seconds and peak memory.

Tumour nests in stroma over an irregular tissue of about 200 mm², T and B cells in aggregates and
scattered. Kernels are compiled on a small slide first. Prints one line a quantity.

    python bench/biomarkers.py [cells]
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from scipy import ndimage

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.measure import measure
from metasight.maps.cells import Cells, cells_of
from metasight.maps.window import TissueWindow

NAMES = ("other", "tumour", "t_cell", "b_cell")
DENSITY_PER_MM2 = 5000


def slide(n: int, seed: int = 0) -> tuple[Cells, TissueWindow]:
    """Cells of a ragged piece of tissue with nests and lymphoid aggregates."""
    rng = np.random.default_rng(seed)
    side_um = np.sqrt(n / DENSITY_PER_MM2 / 0.8) * 1e3
    spacing_um = 8.0
    pixels = int(side_um / spacing_um)
    ragged = ndimage.gaussian_filter(rng.normal(size=(pixels, pixels)), 400 / spacing_um)
    mask = ragged > np.quantile(ragged, 0.2)
    window = TissueWindow(mask=mask, spacing_um=spacing_um)
    nest = ndimage.gaussian_filter(rng.normal(size=mask.shape), 60 / spacing_um)
    nest = nest > np.quantile(nest, 0.6)
    aggregate = ndimage.gaussian_filter(rng.normal(size=mask.shape), 80 / spacing_um)
    aggregate = (aggregate > np.quantile(aggregate, 0.985)) & ~nest
    weight = np.where(aggregate, 3.0, 1.0) * mask
    pixel = rng.choice(mask.size, size=n, p=(weight / weight.sum()).ravel())
    row, column = np.divmod(pixel, pixels)
    x = (column + rng.random(n)) * spacing_um
    y = (row + rng.random(n)) * spacing_um
    chance = rng.random(n)
    in_nest, in_aggregate = nest.ravel()[pixel], aggregate.ravel()[pixel]
    kind = np.zeros(n, dtype=np.int64)
    kind[in_nest & (chance < 0.9)] = 1
    kind[(in_nest & (chance >= 0.95)) | (~in_nest & (chance < 0.15))] = 2
    kind[in_aggregate & (chance < 0.5)] = 2
    kind[in_aggregate & (chance >= 0.5)] = 3
    return cells_of(x, y, np.array(NAMES)[kind], NAMES), window


def main() -> None:
    n = int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000
    definitions = BiomarkerDefinitions()
    small = slide(20_000)
    measure(*small, small[1], definitions, seed=1)
    cells, window = slide(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    found = measure(cells, window, window, definitions, seed=1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"cells {len(cells)}")
    print(f"tissue_mm2 {window.area_mm2:.1f}")
    print(f"measures {len(found.measures)}")
    print(f"tls_found {len(found.aggregates)}")
    print(f"seconds_wall {wall:.1f}")
    print(f"seconds_cpu {cpu:.1f}")
    print(f"peak_memory_mb {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")
    print(f"memory_before_mb {before:.0f}")


if __name__ == "__main__":
    main()

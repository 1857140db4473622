"""The simulator beside real tiles: nuclei, colours, a classifier that tells them apart, and time.

    python bench/simulation.py                 figures of docs/simulation.md
    python bench/simulation.py --picture F     simulated beside real, as PNG

Needs ``../shared/data``. Resolution is stated for none of the real pictures: the one assumed is
that at which a lymphocyte's nucleus measures 7 to 9 µm.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metasight.segmentation.nucleus import detect_in_he
from metasight.simulate.breast.cells import draw_cells
from metasight.simulate.breast.centres import centre_of
from metasight.simulate.breast.he import paint_he
from metasight.simulate.breast.laying import draw_defects, lie_still
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.specimen import plan_of
from metasight.simulate.breast.tissue import biology_of, tissue_at

TILES = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "slides"
REAL = {
    "TUPAC r34": ("he-tiles/TUPAC-TR-002-tile-r34-c34-x33793-y33799-w1024-h1024.png", 0.43),
    "TUPAC r35": ("he-tiles/TUPAC-TR-002-tile-r35-c37-x36865-y34823-w1024-h1024.png", 0.43),
    "torchstain source": ("he-tiles/torchstain_source.png", 1.0),
    "torchstain target": ("he-tiles/torchstain_target.png", 1.0),
    "histolytics": ("histolytics/hgsc_nest.jpg", 0.5),
}
MPP, SIDE_UM = 0.5, 100.0
FEATURES = (
    "red",
    "green",
    "blue",
    "sd red",
    "sd green",
    "sd blue",
    "saturation",
    "detail 1",
    "detail 2",
    "detail 4",
    "nuclei",
    "area",
    "amount",
    "axes",
)


def real(name: str) -> np.ndarray:
    path, mpp = REAL[name]
    bgr = cv2.imread(str(TILES / path))
    side = [round(n * mpp / MPP) for n in bgr.shape[1::-1]]
    return np.ascontiguousarray(cv2.resize(bgr, side, interpolation=cv2.INTER_CUBIC)[..., ::-1])


def simulated(number: int, settings: BreastSettings) -> np.ndarray:
    patients = plan_of(settings, 1, number).patients
    biology = biology_of(patients, 0)
    regions = tissue_at(settings, biology, (1, 4, number), 0.0)
    cells = draw_cells(regions, biology.grade, (1, number))
    still = draw_defects(0.0, regions.tissue, (1,))
    canvas = lie_still(regions, cells, still, mpp=MPP, seed=(1, number))
    rgb = paint_he(canvas, centre_of(settings, 1, number % settings.centres))
    quality = int(centre_of(settings, 1, number % settings.centres).jpeg)
    coded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])


def tiles(rgb: np.ndarray) -> list[np.ndarray]:
    n = round(SIDE_UM / MPP)
    found = [
        rgb[y : y + n, x : x + n]
        for y in range(0, rgb.shape[0] - n + 1, n)
        for x in range(0, rgb.shape[1] - n + 1, n)
    ]
    return [t for t in found if (t.min(axis=2) < 215).mean() > 0.75]  # tissue


def features(tile: np.ndarray) -> list[float]:
    values = tile.reshape(-1, 3).astype(float)
    grey = tile.mean(axis=2)
    detail = []
    for sigma in (1, 2, 4):
        fine = cv2.GaussianBlur(grey, (0, 0), sigma) - cv2.GaussianBlur(grey, (0, 0), 2 * sigma)
        detail.append(float(fine.std()))
    nuclei = detect_in_he(np.ascontiguousarray(tile), MPP)
    some = len(nuclei) > 0
    shape = [
        float(np.median(v)) if some else 0.0
        for v in (nuclei.area_um2, nuclei.amount, nuclei.axis_ratio)
    ]
    saturation = float((values.max(axis=1) - values.min(axis=1)).mean())
    per_mm2 = len(nuclei) / (SIDE_UM / 1000) ** 2
    return [*values.mean(axis=0), *values.std(axis=0), saturation, *detail, per_mm2, *shape]


def compared(settings: BreastSettings) -> None:
    rows, label, image = [], [], []
    for k, name in enumerate(REAL):
        for t in tiles(real(name)):
            rows.append(features(t))
            label.append(0)
            image.append(k)
    for number in range(6):
        for t in tiles(simulated(number, settings))[::3]:
            rows.append(features(t))
            label.append(1)
            image.append(100 + number)
    x, y, groups = np.array(rows), np.array(label), np.array(image)
    print(f"{(y == 0).sum()} real tiles of {len(REAL)} pictures, {(y == 1).sum()} simulated of 6")
    print("feature: real 10th, 50th, 90th percentile | simulated")
    for k, name in enumerate(FEATURES):
        shown = [
            " ".join(f"{v:8.2f}" for v in np.percentile(x[y == c, k], [10, 50, 90])) for c in (0, 1)
        ]
        print(f"  {name:10s} {shown[0]} | {shown[1]}")
    groups_of = {
        "all": range(len(FEATURES)),
        "colour": range(7),
        "texture": range(7, 10),
        "nuclei": range(10, 14),
    }
    for name, columns in groups_of.items():
        for kind, model in (
            ("forest", RandomForestClassifier(300, random_state=0)),
            ("logistic", make_pipeline(StandardScaler(), LogisticRegression(C=0.3))),
        ):
            found = []
            # without groups a tile's neighbours are learnt from: the most that can be told
            for split in (GroupKFold(5), StratifiedKFold(5, shuffle=True, random_state=0)):
                chance = cross_val_predict(
                    model, x[:, list(columns)], y, groups=groups, cv=split, method="predict_proba"
                )[:, 1]
                found.append(roc_auc_score(y, chance))
            print(
                f"AUROC real or simulated, {name}, {kind}: other pictures {found[0]:.3f}, "
                f"same pictures {found[1]:.3f}"
            )


def picture(path: Path, settings: BreastSettings) -> None:
    """Above simulated (three centres), below real; 250 µm wide at 0.5 µm a pixel."""
    n = 500
    above = []
    for number in (0, 1, 2):
        rgb = simulated(number, settings)
        score = cv2.boxFilter((rgb[..., 0] < 140).astype(np.float32), -1, (n, n))
        h = n // 2
        inside = score[h:-h, h:-h]
        y, x = np.unravel_index(int(inside.argmax()), inside.shape)
        above.append(rgb[y : y + n, x : x + n])
    below = [
        real(name)[100 : 100 + n, 100 : 100 + n]
        for name in ("TUPAC r34", "torchstain source", "histolytics")
    ]
    sheet = np.vstack([np.hstack(above), np.hstack([cv2.resize(b, (n, n)) for b in below])])
    small = cv2.resize(sheet, None, fx=0.42, fy=0.42, interpolation=cv2.INTER_AREA)
    # 64 levels a colour keep the file small and change nothing that is looked at
    cv2.imwrite(str(path), (small // 8 * 8 + 4)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def timed(settings: BreastSettings) -> None:
    simulated(0, settings)
    started = time.process_time()
    simulated(1, settings)
    print(f"H&E of {settings.tissue_mm:g} mm: {time.process_time() - started:.1f} s of one core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    if given.picture:
        picture(given.picture, BreastSettings(tissue_mm=1.6))
        return
    timed(BreastSettings())
    compared(BreastSettings(tissue_mm=1.6))


if __name__ == "__main__":
    main()

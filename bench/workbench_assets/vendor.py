"""Copy what the workbench's pages load from a locked npm install into the package.

    cd bench/workbench_assets && npm ci && python vendor.py

``package-lock.json`` fixes every version by its hash. Beside the files a manifest lists each one's
sha256, version and licence, which ``tests/serve/test_assets.py`` checks; the wheel holds them, and
no page asks another host for anything.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "src" / "metasight" / "serve" / "assets" / "vendor"
FILES = {
    "openseadragon": {
        "build/openseadragon/openseadragon.min.js": "openseadragon.min.js",
        "LICENSE.txt": "LICENSE.txt",
    },
    "htmx.org": {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "LICENSE"},
}


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    manifest = {}
    for package, files in FILES.items():
        source = HERE / "node_modules" / package
        about = json.loads((source / "package.json").read_text("utf-8"))
        folder = TARGET / package.partition(".")[0]
        folder.mkdir(parents=True)
        digests = {}
        for name, target in files.items():
            content = (source / name).read_bytes()
            (folder / target).write_bytes(content)
            digests[f"{folder.name}/{target}"] = hashlib.sha256(content).hexdigest()
        licence = about["license"]
        manifest[package] = {
            "version": about["version"],
            "licence": licence if isinstance(licence, str) else licence["type"],
            "files": digests,
        }
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (TARGET / "manifest.json").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()

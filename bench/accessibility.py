"""Pages under axe-core in a real Chromium, and the tags of PDF reports.

    python bench/accessibility.py demo/breast-dmfs/results/latest [FOLDER or FILE …]

Every HTML page of each folder is opened from its file at the width of a desk's screen and of a
telephone, and axe-core's rules (WCAG 2.2 A and AA, best practices) are run on it; every PDF is
looked at for a structure tree, a language and a title. Each rule that is broken is printed with the
first element that breaks it; the exit status is 1 where one is. What axe calls incomplete, because
a person must look (contrast over a picture), is counted.

Needs Chromium (Debian: ``apt-get install chromium``) and npm, which fetches axe-core (MPL-2.0) and
playwright-core (Apache-2.0) into a folder that is thrown away; nothing of them is in metasight.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pypdf import PdfReader

PACKAGES = ("axe-core@4.14.1", "playwright-core@1.65.1")
WIDTHS_PX = (1280, 390)
SCRIPT = """
const { chromium } = require('playwright-core');
const fs = require('fs');
const [pages, widths, executablePath] = JSON.parse(process.argv[2]);
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
(async () => {
  const browser = await chromium.launch({
    executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  for (const page of pages) for (const width of widths) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, bypassCSP: true });
    const tab = await context.newPage();
    await tab.goto('file://' + page);
    await tab.addScriptTag({ content: axe });
    const found = await tab.evaluate(() => axe.run(document));
    console.log(JSON.stringify({
      page, width, passes: found.passes.length,
      incomplete: found.incomplete.map(r => [r.id, r.nodes.length]),
      wide: await tab.evaluate(() => document.documentElement.scrollWidth),
      violations: found.violations.map(
        r => [r.id, r.impact, r.nodes.length, r.nodes[0].target.join(' '), r.help]),
    }));
    await context.close();
  }
  await browser.close();
})().catch(error => { console.error(error); process.exit(2); });
"""


def pages_of(places: list[Path], suffix: str) -> list[Path]:
    """Files of that kind among the places and below them."""
    found = [q for p in places for q in ([p] if p.is_file() else sorted(p.resolve().rglob("*")))]
    return [p.resolve() for p in found if p.suffix == suffix]


def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    sys.exit("no Chromium here: apt-get install chromium")


def judge_pages(pages: list[Path]) -> int:
    """Print what axe says of each page at each width; return how many rules are broken."""
    broken = 0
    with tempfile.TemporaryDirectory(prefix="metasight-axe-") as folder:
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES]
        subprocess.run(install, cwd=folder, check=True)
        (Path(folder) / "axe.js").write_text(SCRIPT, "utf-8")
        told = json.dumps([[str(p) for p in pages], WIDTHS_PX, browser()])
        running = subprocess.Popen(
            ["node", "axe.js", told], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        assert running.stdout is not None
        for line in running.stdout:
            found = json.loads(line)
            look = sum(n for _, n in found["incomplete"])
            scrolls = " scrolls sideways," if found["wide"] > found["width"] else ""
            print(
                f"{Path(found['page']).name} at {found['width']} px:{scrolls} "
                f"{found['passes']} rules passed, {len(found['violations'])} broken, "
                f"{look} elements to be looked at by a person"
            )
            for rule, impact, n, where, why in found["violations"]:
                print(f"    {rule} ({impact}, {n} elements, first {where}): {why}")
            broken += len(found["violations"])
        if running.wait():
            sys.exit("the browser failed")
    return broken


def judge_pdf(path: Path) -> int:
    """Print what a reader for the blind needs of a PDF; return how much of it is missing."""
    pdf = PdfReader(path)
    root = pdf.trailer["/Root"]
    marked = bool(root.get("/MarkInfo", {}).get("/Marked"))
    has = {
        "structure tree": marked and "/StructTreeRoot" in root,
        "language": bool(root.get("/Lang")),
        "title": bool(pdf.metadata and pdf.metadata.title),
    }
    print(f"{path.name}: " + ", ".join(f"{k} {'yes' if v else 'NO'}" for k, v in has.items()))
    return sum(not v for v in has.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="+", type=Path)
    places = parser.parse_args().places
    pages = pages_of(places, ".html")
    broken = judge_pages(pages) if pages else 0
    missing = sum(judge_pdf(p) for p in pages_of(places, ".pdf"))
    print(f"{len(pages)} pages, {broken} rules broken; {missing} things missing in PDFs")
    sys.exit(1 if broken or missing else 0)


if __name__ == "__main__":
    main()

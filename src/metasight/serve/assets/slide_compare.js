// The aligned section beside the slide: swipe, checkerboard, side by side; and a ruler.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const { told, base, pyramid, layers, show } = window.workbenchSlide;
  const viewer = window.workbenchViewer;
  const space = "http://www.w3.org/2000/svg";
  const MOST_SQUARES = 40;
  let compared = null, how = "over", beside = null, besideOf = null, leading = null;

  const view = () => viewer.viewport.getBounds(true); // in widths of the slide
  const cornered = (x, y, width, height) => [
    { x, y }, { x: x + width, y }, { x: x + width, y: y + height }, { x, y: y + height },
  ];
  const squares = () => {
    const box = view(), side = told.width * 2 ** Math.round(Math.log2(box.width / 6)), found = [];
    const x0 = Math.floor((box.x * told.width) / side) - 1, y0 = Math.floor((box.y * told.width) / side) - 1;
    const across = Math.min(MOST_SQUARES, Math.ceil((box.width * told.width) / side) + 3);
    const down = Math.min(MOST_SQUARES, Math.ceil((box.height * told.width) / side) + 3);
    for (let i = x0; i < x0 + across; i += 1) {
      for (let j = y0; j < y0 + down; j += 1) if ((i + j) % 2 === 0) found.push(cornered(i * side, j * side, side, side));
    }
    return found;
  };
  const cut = () => {
    const layer = compared && layers[`aligned ${compared}`];
    if (!layer?.setCroppingPolygons) return;
    if (how === "swipe") {
      const box = view(), share = document.querySelector(`[data-swipe="${compared}"]`).value / 100;
      const edge = (box.x + box.width * share) * told.width, end = (box.x + 2 * box.width) * told.width;
      layer.setCroppingPolygons([cornered(edge, (box.y - box.height) * told.width, Math.max(end - edge, 1), 3 * box.height * told.width)]);
    } else if (how === "squares") layer.setCroppingPolygons(squares());
    else layer.resetCroppingPolygons();
  };
  const link = (from, to) => ["zoom", "pan"].forEach((name) => from.addHandler(name, () => {
    if (leading && leading !== from) return;
    leading = from;
    to.viewport.zoomTo(from.viewport.getZoom(), null, true);
    to.viewport.panTo(from.viewport.getCenter(), true);
    leading = null;
  }));
  const besideViewer = (of) => {
    const element = document.getElementById("beside");
    const on = how === "beside";
    element.hidden = !on;
    document.getElementById("viewers").classList.toggle("two", on);
    if (!on || besideOf === of) return;
    beside?.destroy();
    besideOf = of;
    beside = OpenSeadragon({
      element, drawer: "canvas", showNavigationControl: false, maxZoomPixelRatio: 4, visibilityRatio: 0.5,
      crossOriginPolicy: false, ajaxWithCredentials: false, animationTime: 0.4,
      tileSources: pyramid((l, x, y) => `${base}/aligned/${of}/${l}/${x}/${y}.jpg?v=${told.version}`),
    });
    window.workbenchBeside = beside;
    beside.addOnceHandler("open", () => {
      beside.viewport.zoomTo(viewer.viewport.getZoom(), null, true);
      beside.viewport.panTo(viewer.viewport.getCenter(), true);
      link(viewer, beside);
      link(beside, viewer);
    });
  };
  document.querySelectorAll("[data-compare]").forEach((select) => select.addEventListener("change", () => {
    const of = select.dataset.compare, input = document.querySelector(`[data-layer=aligned][data-of="${of}"]`);
    document.querySelectorAll("[data-compare]").forEach((other) => { if (other !== select) other.value = "over"; });
    document.querySelectorAll("[data-swipe-of]").forEach((part) => { part.hidden = !(part.dataset.swipeOf === of && select.value === "swipe"); });
    const before = compared && layers[`aligned ${compared}`];
    before?.resetCroppingPolygons?.();
    compared = of;
    how = select.value;
    if (how === "swipe" || how === "squares") {
      input.value = 100;
      show("aligned", of, 1);
    } else if (how === "beside") {
      input.value = 0;
      show("aligned", of, 0);
    }
    besideViewer(of);
    cut();
  }));
  document.querySelectorAll("[data-swipe]").forEach((input) => input.addEventListener("input", cut));
  viewer.world.addHandler("add-item", () => window.setTimeout(cut));
  ["animation", "resize"].forEach((name) => viewer.addHandler(name, () => { if (how === "swipe") cut(); }));
  viewer.addHandler("animation-finish", () => { if (how === "squares") cut(); });

  // ---------------------------------------------------------------- a ruler
  const button = document.getElementById("ruler"), measured = document.getElementById("measured");
  let measuring = false, points = [], line = null;
  const draw = () => {
    if (!line) {
      const svg = document.createElementNS(space, "svg");
      svg.setAttribute("viewBox", `0 0 ${told.width} ${told.height}`);
      line = document.createElementNS(space, "path");
      line.setAttribute("class", "ruler");
      svg.append(line);
      viewer.addOverlay({ element: svg, location: new OpenSeadragon.Rect(0, 0, 1, told.height / told.width) });
    }
    line.setAttribute("d", points.length ? `M${points.map((p) => `${p.x} ${p.y}`).join("L")}` : "");
  };
  const say = () => {
    if (points.length === 2) {
      const um = Math.hypot(points[0].x - points[1].x, points[0].y - points[1].y) * told.mpp;
      measured.textContent = um >= 1000 ? `${(um / 1000).toFixed(2)} mm` : `${um.toFixed(um < 100 ? 1 : 0)} µm`;
    } else if (measuring) {
      measured.textContent = points.length
        ? "Click the other end, or move it to the middle of the view and press Enter."
        : "Click one end, or move it to the middle of the view and press Enter.";
    } else measured.textContent = "";
  };
  const add = (point) => {
    points = points.length === 2 ? [] : points;
    points.push({ x: point.x * told.width, y: point.y * told.width });
    draw();
    say();
  };
  button.addEventListener("click", () => {
    measuring = !measuring;
    button.setAttribute("aria-pressed", String(measuring));
    points = [];
    draw();
    say();
  });
  viewer.addHandler("canvas-click", (event) => {
    if (!measuring || !event.quick) return;
    event.preventDefaultAction = true;
    add(viewer.viewport.pointFromPixel(event.position));
  });
  document.getElementById("viewer").addEventListener("keydown", (event) => {
    if (measuring && event.key === "Enter") { add(viewer.viewport.getCenter()); event.preventDefault(); }
  });
});

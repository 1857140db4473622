// Deep zoom of one slide, with what lies over it. All of it is asked for from this workbench.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const told = JSON.parse(document.getElementById("told").textContent);
  const element = document.getElementById("viewer");
  const base = `/slides/${told.name}`;
  const pyramid = (address) => ({
    width: told.width, height: told.height, tileSize: told.tile, tileOverlap: 0,
    minLevel: Math.max(0, told.maxLevel - 12), maxLevel: told.maxLevel,
    getTileUrl: (level, x, y) => address(level, x, y),
  });
  let channel = "";
  const own = () => pyramid((l, x, y) => `${base}/tiles/${l}/${x}/${y}.jpg${channel && `?channel=${channel}`}`);
  const viewer = OpenSeadragon({
    element, drawer: "canvas", showNavigationControl: false, showNavigator: true,
    navigatorPosition: "TOP_RIGHT", tileSources: own(), maxZoomPixelRatio: 4, visibilityRatio: 0.5,
    immediateRender: false, crossOriginPolicy: false, ajaxWithCredentials: false,
    imageSmoothingEnabled: true, animationTime: 0.4, preserveViewport: true,
  });
  window.workbenchViewer = viewer;
  const layers = {};

  const add = (key, options, opacity) => {
    if (layers[key]) { layers[key].setOpacity?.(opacity); return; }
    layers[key] = { wanted: opacity, setOpacity(o) { this.wanted = o; } };
    viewer.addTiledImage({
      ...options, opacity,
      success: (event) => { const wanted = layers[key].wanted; layers[key] = event.item; event.item.setOpacity(wanted); },
    });
  };
  const drop = (key) => { if (layers[key]?.source) viewer.world.removeItem(layers[key]); delete layers[key]; };
  const placed = (place, url) => ({
    tileSource: { type: "image", url }, x: place.x / told.mpp / told.width,
    y: place.y / told.mpp / told.width, width: place.width / told.mpp / told.width,
  });
  const version = `?v=${told.version}`; // a later run may align or paint otherwise
  const show = (layer, of, opacity) => {
    const key = `${layer} ${of}`;
    if (layer === "aligned") add(key, { tileSource: pyramid((l, x, y) => `${base}/aligned/${of}/${l}/${x}/${y}.jpg${version}`) }, opacity);
    if (layer === "error") add(key, placed(told.errors[of], `${base}/error/${of}.png${version}`), opacity);
    if (layer === "map") add(key, placed(told.maps[of], `${base}/map/${of}/${marker(of)}.png${version}`), opacity);
  };
  window.workbenchSlide = { told, base, pyramid, layers, show };
  const marker = (of) => document.querySelector(`[data-marker="${of}"]`).value;
  const endOf = (of) => { document.querySelector(`[data-end="${of}"]`).textContent = told.maps[of].ends[marker(of)]; };

  document.querySelectorAll("[data-layer]").forEach((input) => {
    input.addEventListener("input", () => show(input.dataset.layer, input.dataset.of, input.value / 100));
  });
  document.querySelectorAll("[data-marker]").forEach((select) => {
    endOf(select.dataset.marker);
    select.addEventListener("change", () => {
      const of = select.dataset.marker;
      endOf(of);
      drop(`map ${of}`);
      const input = document.querySelector(`[data-layer=map][data-of="${of}"]`);
      if (input.value > 0) show("map", of, input.value / 100);
    });
  });
  document.getElementById("channel")?.addEventListener("change", (event) => {
    channel = event.target.value;
    viewer.open(own());
  });
  const by = (factor) => { viewer.viewport.zoomBy(factor); viewer.viewport.applyConstraints(); };
  document.getElementById("zoom-in").addEventListener("click", () => by(2));
  document.getElementById("zoom-out").addEventListener("click", () => by(0.5));
  document.getElementById("zoom-all").addEventListener("click", () => viewer.viewport.goHome());
  document.getElementById("zoom-full").addEventListener("click", () => {
    viewer.viewport.zoomTo(told.width / element.clientWidth);
  });

  const scale = document.querySelector("#scale span");
  const bar = () => {
    const across = element.clientWidth * viewer.viewport.getZoom(true); // of the slide, on the screen
    const micrometres = (told.width * told.mpp) / across; // to a pixel of the screen
    const most = micrometres * Math.min(220, element.clientWidth / 3);
    const ten = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((s) => s * ten).find((l) => l <= most);
    scale.style.width = `${length / micrometres}px`;
    document.querySelector("#scale b").textContent = length >= 1000 ? `${length / 1000} mm` : `${length} µm`;
  };
  viewer.addHandler("open", () => {
    document.getElementById("viewer-wait")?.remove();
    bar();
    if (told.outlines.length && !document.getElementById("outline-layer")) {
      const space = "http://www.w3.org/2000/svg";
      const svg = document.createElementNS(space, "svg");
      svg.id = "outline-layer";
      svg.setAttribute("viewBox", `0 0 ${told.width} ${told.height}`);
      told.outlines.forEach(({ name, path }) => {
        const line = document.createElementNS(space, "path");
        line.setAttribute("d", path);
        line.setAttribute("class", "outline");
        const title = document.createElementNS(space, "title");
        title.textContent = name;
        line.append(title);
        svg.append(line);
      });
      viewer.addOverlay({ element: svg, location: new OpenSeadragon.Rect(0, 0, 1, told.height / told.width) });
    }
  });
  document.getElementById("outlines")?.addEventListener("change", (event) => {
    document.getElementById("outline-layer")?.toggleAttribute("hidden", !event.target.checked);
    const svg = document.getElementById("outline-layer");
    if (svg) svg.style.display = event.target.checked ? "" : "none";
  });
  viewer.addHandler("animation", bar);
  viewer.addHandler("resize", bar);
  const where = document.getElementById("where");
  element.addEventListener("pointermove", (event) => {
    if (!viewer.world.getItemCount()) return;
    const box = element.getBoundingClientRect();
    const at = viewer.viewport.pointFromPixel(
      new OpenSeadragon.Point(event.clientX - box.left, event.clientY - box.top));
    const point = { x: at.x * told.width, y: at.y * told.width };
    const inside = point.x >= 0 && point.y >= 0 && point.x < told.width && point.y < told.height;
    where.textContent = inside
      ? `x ${Math.floor(point.x)}, y ${Math.floor(point.y)} pixels; ${Math.round(point.x * told.mpp)}, ${Math.round(point.y * told.mpp)} µm`
      : "Point at the slide for coordinates.";
  });
});

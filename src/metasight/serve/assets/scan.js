// Three planes of one patient's scans; slices, outlines and diameters are made by this workbench.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("scan");
  const base = `/scans/${root.dataset.patient}`;
  const $ = (id) => document.getElementById(id);
  const PLANES = ["axial", "coronal", "sagittal"];
  const planes = {};
  let told, window_ = "lung", opacity = 0, zoom = 1, proposed = null;
  // the point in which the planes meet, in slices of sagittal (x), coronal (y) and axial (z)
  const at = { sagittal: 0, coronal: 0, axial: 0 };
  const across = { axial: ["sagittal", "coronal"], coronal: ["sagittal", "axial"], sagittal: ["coronal", "axial"] };
  const down = (plane, n, frame) => (plane === "axial" ? (n + 0.5) * frame.row : frame.height - (n + 0.5) * frame.row);
  const clamp = (n, most) => Math.min(Math.max(Math.round(n), 0), most);
  const meet = (plane) => {
    const frame = told.frames[plane], [x, y] = across[plane];
    return { x: (at[x] + 0.5) * frame.column, y: down(plane, at[y], frame) };
  };

  // one picture of a plane is under way at a time, then the newest is asked for: a fast wheel asks for few
  const picture = (image, address) => {
    image.wanted = address;
    if (image.busy) return;
    image.busy = true;
    const next = new Image();
    next.onload = next.onerror = () => {
      image.busy = false;
      if (image.wanted !== address) picture(image, image.wanted);
      else image.element.setAttribute("href", address);
    };
    next.src = address;
  };
  const show = (plane) => {
    const { frame, ct, pet, element } = planes[plane], n = at[plane];
    const version = `v=${told.version}`;
    const alone = window_ === "pet";
    element.classList.toggle("white", alone);
    ct.element.style.display = alone ? "none" : "";
    if (!alone) picture(ct, `${base}/${plane}/${n}.png?window=${window_}&${version}`);
    const fused = alone || opacity > 0;
    pet.element.style.display = fused ? "" : "none";
    pet.element.style.opacity = alone ? 1 : opacity;
    if (fused) picture(pet, `${base}/pet/${plane}/${n}.png?shade=${alone ? "grey" : "heat"}&${version}`);
    const path = (name, lesion, on) => planes[plane][name].setAttribute("d", (on && lesion?.outlines[plane][n]) || "");
    path("outline", told.lesion, $("outline").checked);
    path("found", proposed, true);
    calipers(plane, n);
    const point = meet(plane), on = $("cross").checked;
    planes[plane].h.style.display = planes[plane].v.style.display = on ? "" : "none";
    set(planes[plane].h, { x1: 0, x2: frame.width, y1: point.y, y2: point.y });
    set(planes[plane].v, { x1: point.x, x2: point.x, y1: 0, y2: frame.height });
    planes[plane].number.textContent = `${n + 1} of ${frame.slices}`;
    planes[plane].range.value = n;
    view(plane);
  };
  const set = (element, values) => Object.entries(values).forEach(([k, v]) => element.setAttribute(k, v));
  const line = (ends, name) => {
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "line");
    set(drawn, { x1: ends[0][0], y1: ends[0][1], x2: ends[1][0], y2: ends[1][1], class: name });
    return drawn;
  };
  const calipers = (plane, n) => {
    const group = planes[plane].calipers;
    group.replaceChildren();
    if (!$("calipers").checked) return;
    [[told.lesion, "caliper"], [proposed, "caliper proposed"]].forEach(([lesion, name]) => {
      (lesion?.calipers ?? []).filter((c) => c.plane === plane && c.slice === n).forEach((c) => {
        const thick = c.is_size ? `${name} size` : name;
        group.append(line(c.longest, thick), line(c.across, thick));
      });
    });
  };
  const view = (plane) => {
    const { svg, frame, scale } = planes[plane], point = meet(plane);
    const width = frame.width / zoom, height = frame.height / zoom;
    const x = zoom === 1 ? 0 : point.x - width / 2, y = zoom === 1 ? 0 : point.y - height / 2;
    svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    const box = svg.getBoundingClientRect();
    const mm = Math.max(width / Math.max(box.width, 1), height / Math.max(box.height, 1)); // to a pixel
    const most = 120 * mm, ten = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((s) => s * ten).find((l) => l <= most);
    scale.querySelector("span").style.width = `${length / mm}px`;
    scale.querySelector("b").textContent = `${length} mm`;
  };
  const all = () => {
    PLANES.forEach(show);
    $("where").textContent = `Axial slice ${at.axial + 1}, coronal ${at.coronal + 1}, sagittal ${at.sagittal + 1}.`;
  };
  const go = (plane, n) => { at[plane] = clamp(n, told.frames[plane].slices - 1); all(); };

  const begin = () => {
    PLANES.forEach((plane) => {
      const element = document.querySelector(`[data-plane=${plane}]`);
      const part = (name) => element.querySelector(`[data-${name}]`);
      const frame = told.frames[plane];
      const own = planes[plane] = {
        element: part("slice"), svg: element.querySelector("svg"), frame, ct: { element: part("ct") }, pet: { element: part("pet") },
        outline: part("outline"), found: part("found"), calipers: part("calipers"), h: part("h"), v: part("v"),
        number: part("number"), range: part("range"), scale: element.querySelector(".scale"),
      };
      [own.ct.element, own.pet.element].forEach((image) => set(image, { x: 0, y: 0, width: frame.width, height: frame.height }));
      own.element.style.aspectRatio = `${frame.width} / ${frame.height}`;
      own.range.max = frame.slices - 1;
      own.range.addEventListener("input", () => go(plane, +own.range.value));
      own.element.addEventListener("wheel", (event) => {
        event.preventDefault();
        go(plane, at[plane] + (event.deltaY > 0 ? 1 : -1) * (plane === "axial" ? -1 : 1));
      }, { passive: false });
      own.element.addEventListener("keydown", (event) => {
        const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
        if (step) { go(plane, at[plane] + step); event.preventDefault(); }
        if (event.key === "+" || event.key === "-") { zoomed(event.key === "+" ? 1.5 : 1 / 1.5); event.preventDefault(); }
      });
      own.element.addEventListener("click", (event) => {
        const place = own.svg.createSVGPoint();
        place.x = event.clientX; place.y = event.clientY;
        const mm = place.matrixTransform(own.svg.getScreenCTM().inverse()), [x, y] = across[plane];
        if (mm.x < 0 || mm.y < 0 || mm.x > frame.width || mm.y > frame.height) return;
        const below = plane === "axial" ? mm.y : frame.height - mm.y;
        at[x] = clamp(mm.x / frame.column - 0.5, told.frames[x].slices - 1);
        at[y] = clamp(below / frame.row - 0.5, told.frames[y].slices - 1);
        all();
      });
    });
    lines("facts", told.facts);
    if (told.lesion) { toLesion(told.lesion); $("to-lesion").hidden = false; }
    else {
      PLANES.forEach((plane) => { at[plane] = Math.floor(told.frames[plane].slices / 2); });
      $("why-no-lesion").textContent = `No outline is shown: ${told.whyNoLesion}.`;
      $("why-no-lesion").hidden = false;
    }
    all();
  };
  const toLesion = (lesion) => PLANES.forEach((plane) => { at[plane] = lesion.start[plane]; });
  const lines = (id, pairs) => {
    $(id).replaceChildren(...pairs.map(([name, value]) => {
      const row = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name; text.textContent = value;
      row.append(term, text);
      return row;
    }));
  };
  const zoomed = (factor) => { zoom = Math.min(Math.max(zoom * factor, 1), 16); all(); };
  $("zoom-in").addEventListener("click", () => zoomed(2));
  $("zoom-out").addEventListener("click", () => zoomed(0.5));
  $("zoom-all").addEventListener("click", () => zoomed(0));
  $("to-lesion").addEventListener("click", () => { toLesion(told.lesion); all(); });
  $("window").addEventListener("change", (event) => { window_ = event.target.value; all(); });
  $("fused")?.addEventListener("input", (event) => { opacity = event.target.value / 100; all(); });
  ["outline", "calipers", "cross"].forEach((id) => $(id).addEventListener("change", all));
  window.addEventListener("resize", () => told && PLANES.forEach(view));

  // ---------------------------------------------------------------- a lesion from a click
  const send = (address, values) => fetch(address, {
    method: "POST", body: new URLSearchParams({ form_token: $("clicking").dataset.token, ...values }),
  });
  const working = (text) => { $("asking").textContent = text; $("asking").hidden = !text; };
  const ask = async () => {
    const frame = told.frames.axial, point = meet("axial");
    $("found").hidden = true;
    proposed = null;
    $("ask").disabled = true;
    working("Looking for the lesion …");
    try {
      const answer = await send(`${base}/lesion`, { plane: "axial", number: at.axial, x: Math.min(point.x, frame.width), y: Math.min(point.y, frame.height) });
      if (!answer.ok) throw new Error();
      const { job } = await answer.json();
      await answered(job);
    } catch {
      working("The workbench did not answer. Open the page again.");
    }
    $("ask").disabled = false;
  };
  const answered = async (job) => {
    for (;;) {
      const state = await (await fetch(`${base}/lesion/${job}`)).json();
      if (state.state === "working") {
        working(`Looking for the lesion … ${state.seconds} s`);
        await new Promise((resolve) => { setTimeout(resolve, 400); });
        continue;
      }
      if (state.state === "failed") { working(state.problem); return; }
      working("");
      proposed = state.drawn;
      lines("found-lines", state.lines);
      $("found-words").textContent = state.words;
      $("flagged").hidden = !state.flagged;
      if ($("accept")) $("accept").action = `${base}/lesion/${job}/accept`;
      $("found").hidden = false;
      toLesion(proposed);
      all();
      return;
    }
  };
  $("ask")?.addEventListener("click", ask);

  fetch(`${base}/told`).then((answer) => answer.json()).then((found) => {
    $("scan-wait").hidden = true;
    if (found.problem) {
      $("scan-problem").hidden = false;
      $("scan-problem").querySelector("p").textContent = found.problem;
      return;
    }
    told = found;
    root.hidden = false;
    window.workbenchScan = { at, told };
    begin();
  }).catch(() => { $("scan-wait").textContent = "The workbench did not answer. Open the page again."; });
});

// Keyboard from row to row in lists, and from patient to patient.
"use strict";
(() => {
  const typing = (element) => element.closest("input, select, textarea, [role=application]");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const links = [...document.querySelectorAll("table.list tbody th a")];
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (step && links.length) {
      const at = links.indexOf(document.activeElement);
      const next = links[Math.min(Math.max(at + step, 0), links.length - 1)];
      next.focus();
      event.preventDefault();
      return;
    }
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && document.querySelector(`nav.pages a[rel=${rel}]`);
    if (link && !event.target.closest(".table")) {
      link.click();
      event.preventDefault();
    }
  });
})();

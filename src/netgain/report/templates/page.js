"use strict";
(function () {
  const tip = document.getElementById("tip");
  function show(mark, x, y) {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.setProperty("left", Math.max(4, Math.min(x + 14, innerWidth - box.width - 4)) + "px");
    tip.style.setProperty("top", Math.max(4, y + 14 + box.height > innerHeight ? y - box.height - 10 : y + 14) + "px");
  }
  function hide() { tip.hidden = true; }
  for (const mark of document.querySelectorAll("[data-tip]")) {
    mark.addEventListener("pointermove", (event) => show(mark, event.clientX, event.clientY));
    mark.addEventListener("pointerleave", hide);
    mark.addEventListener("focus", () => { const box = mark.getBoundingClientRect(); show(mark, box.right, box.top); });
    mark.addEventListener("blur", hide);
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // One tab stop a figure; arrow keys move between its marks.
  for (const figure of document.querySelectorAll("svg.figure")) {
    const marks = Array.from(figure.querySelectorAll("[data-tip]"));
    if (marks.length) marks[0].setAttribute("tabindex", "0");
    figure.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      const next = marks[marks.indexOf(document.activeElement) + step];
      if (!next || !marks.includes(document.activeElement)) return;
      event.preventDefault();
      document.activeElement.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }

  function value(row, column) {
    const cell = row.cells[column];
    const raw = cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim().replace("\u2212", "-");
    const number = parseFloat(raw);
    if (raw === "") return Infinity;
    return Number.isNaN(number) ? raw : number;
  }
  function sort(table, column, heading) {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    for (const body of table.tBodies) { // each group by itself, under its heading
      const rows = Array.from(body.rows).filter((row) => !row.classList.contains("group"));
      rows.sort((a, b) => {
        const left = value(a, column), right = value(b, column);
        const order = typeof left === typeof right ? (left < right ? -1 : left > right ? 1 : 0) : typeof left === "number" ? -1 : 1;
        return down ? -order : order;
      });
      body.append(...rows);
    }
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, column, heading));
    });
  }
})();

// Puts a button into each head of a table's columns, which sorts its rows: up, down, and back as they were.
"use strict";
const collator = new Intl.Collator("en", { numeric: true });
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  const first = [...body.rows];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  if (first.length < 2) continue;
  const keys = heads.map((_, column) => {
    const cells = first.map((row) => row.cells[column]);
    const isNumbers = cells.some((cell) => "value" in cell.dataset);
    const key = (cell) => (cell.dataset.value === undefined ? null : Number(cell.dataset.value));
    return new Map(first.map((row, i) => [row, isNumbers ? key(cells[i]) : cells[i].textContent.trim() || null]));
  });
  const compared = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { null: "ascending", ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      for (const other of heads) other.removeAttribute("aria-sort");
      const rows = [...first];
      if (next) {
        head.setAttribute("aria-sort", next);
        const key = keys[column];
        const sign = next === "ascending" ? 1 : -1;
        // what has no number comes last, whichever way
        const last = (row) => key.get(row) === null;
        rows.sort((a, b) => last(a) - last(b) || (last(a) ? 0 : sign * compared(key.get(a), key.get(b))));
      }
      body.append(...rows);
    });
  });
}

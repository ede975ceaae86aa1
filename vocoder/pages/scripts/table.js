"use strict";
// Sorting of `<table class="sortable">` by its column heads, as buttons that screen readers know.
// A cell sorts by its `data-value` or else its text; cells without either stay at the end.

function cellValue(row, column) {
  const cell = row.cells[column];
  const text = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
  if (text === "" || text === "–") return null;
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

function compareValues(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

/** Sort the first body of `table` by a column, "ascending" or "descending"; ties keep order. */
function sortTable(table, column, direction) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, value: cellValue(row, column) }));
  const sign = direction === "ascending" ? 1 : -1;
  rows.sort((a, b) => {
    if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
    return sign * compareValues(a.value, b.value);
  });
  body.append(...rows.map(({ row }) => row));
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, i) => {
    if (i === column) head.setAttribute("aria-sort", direction);
    else head.removeAttribute("aria-sort");
  });
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    if ("fixed" in head.dataset) return;
    const button = element("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "ascending";
      const direction = up ? "descending" : "ascending";
      sortTable(table, column, direction);
      announce(`Sorted by ${button.textContent.trim()}, ${direction}`);
    });
  });
}

document.querySelectorAll("table.sortable").forEach(makeSortable);

"use strict";
// The page reads well without this script. It brings each first difference into the middle of its frame, lets the
// arrow keys walk over the matrix, and says in words what the cell under the focus or the pointer stands for.
for (const row of document.querySelectorAll(".sides tr.first")) {
  const frame = row.closest(".scroll");
  frame.scrollTop = row.offsetTop - frame.clientHeight / 2;
}

const matrix = document.querySelector(".matrix");
const detail = document.getElementById("detail");
if (matrix) {
  const rows = [...matrix.tBodies[0].rows];
  const varied = document.getElementById("varied");
  const names = [...varied.tHead.rows[0].cells].map((cell) => cell.textContent);
  let current = rows[0].cells[1];
  current.tabIndex = 0;

  const say = (cell) => {
    const around = varied.tBodies[0].rows[cell.cellIndex - 1];
    const words = [...around.cells].slice(1).map((value, at) => `${names[at + 1]}: ${value.textContent}`);
    detail.textContent =
      `${cell.parentNode.cells[0].textContent.trim()}, iteration ${around.cells[0].textContent}: ` +
      `${cell.dataset.is}. ${words.join("; ")}.`;
  };
  const go = (cell) => {
    current.tabIndex = -1;
    current = cell;
    current.tabIndex = 0;
    current.focus();
  };
  const steps = {
    ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    Home: [0, -Infinity], End: [0, Infinity], PageUp: [-Infinity, 0], PageDown: [Infinity, 0],
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  matrix.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const row = clamp(rows.indexOf(current.parentNode) + step[0], 0, rows.length - 1);
    go(rows[row].cells[clamp(current.cellIndex + step[1], 1, rows[row].cells.length - 1)]);
  });
  matrix.addEventListener("focusin", (event) => event.target.dataset.is && say(event.target));
  matrix.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (cell) go(cell);
  });
  matrix.addEventListener("mouseover", (event) => {
    const cell = event.target.closest("td");
    if (cell) say(cell);
  });
}

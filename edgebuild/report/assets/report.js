"use strict";
// Everything here is comfort: the report says the same without it.

// Pointing at an action lights the lines to what it reads and what reads it.
for (const node of document.querySelectorAll("[data-node]")) {
  const id = node.dataset.node;
  const lines = document.querySelectorAll(`[data-from="${id}"], [data-to="${id}"]`);
  const light = (on) => lines.forEach((line) => line.classList.toggle("lit", on));
  node.addEventListener("mouseenter", () => light(true));
  node.addEventListener("mouseleave", () => light(false));
}

const find = document.getElementById("find");
if (find) {
  const rows = document.querySelectorAll("[data-find]");
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      row.hidden = !words.every((word) => row.dataset.find.includes(word));
    }
  });
}

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

// What does not fit fades out on the side where there is more of it.
for (const box of document.querySelectorAll(".scroll")) {
  const hint = document.createElement("p");
  hint.className = "sideways";
  hint.textContent = "scroll sideways for more";
  box.after(hint);
  const look = () => {
    const rest = box.scrollWidth - box.clientWidth;
    box.classList.toggle("before", rest > 1 && box.scrollLeft > 1);
    box.classList.toggle("after", rest > 1 && box.scrollLeft < rest - 1);
    if (rest > 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
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

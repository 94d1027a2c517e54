
"use strict";

const at = (id) => document.getElementById(id);
const grid = at("grid");
const dialog = document.querySelector("dialog");
const cards = [...grid.children];

function arrange() {
  const words = at("search").value.toLowerCase();
  const [least, most] = at("pose").value.split(" ").map(Number);
  for (const card of cards) {
    const yaw = Math.abs(Number(card.dataset.yaw));
    card.hidden = !card.dataset.name.includes(words) || yaw < least || yaw > most;
  }
  const descending = at("sort").value.startsWith("-");
  const key = at("sort").value.replace("-", "");
  const value = (card) => (key === "name" ? card.dataset.name : Number(card.dataset[key]));
  const compare = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0);
  const sorted = key ? [...cards].sort((a, b) => (descending ? compare(b, a) : compare(a, b))) : cards;
  grid.append(...sorted);
  const shown = visible().length;
  at("count").textContent = shown + (shown === 1 ? " face" : " faces");
}

function visible() {
  return [...grid.children].filter((card) => !card.hidden);
}

function named() {
  const face = location.hash.startsWith("#face=") ? decodeURIComponent(location.hash.slice(6)) : "";
  return face && cards.find((card) => card.dataset.face === face);
}

function show() {
  const card = named();
  at("stage").replaceChildren();
  if (!card) return dialog.close();
  const frame = document.createElement("iframe");
  frame.src = "viewer/viewer.html#" + encodeURIComponent(card.dataset.face);
  frame.title = "Interactive view";
  at("stage").append(frame);
  at("title").textContent = card.querySelector(".name").textContent.replace(/face \d+$/, " · $&");
  at("details").textContent = card.querySelector(".values").textContent.trim().replace(/\s+/g, " ");
  at("mesh").hidden = !card.dataset.mesh;
  at("mesh").href = card.dataset.mesh;
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  const faces = visible().filter((card) => card.dataset.face);
  const next = faces[faces.indexOf(named()) + by];
  if (next) location.hash = next.hash;
}

at("search").addEventListener("input", arrange);
at("pose").addEventListener("change", arrange);
at("sort").addEventListener("change", arrange);
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => (location.hash = "all"));
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
window.addEventListener("hashchange", show);
arrange();
show();

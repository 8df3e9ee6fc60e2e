"use strict";
const stage = document.getElementById("stage");
const pictures = stage.querySelectorAll("img");
const output = document.getElementById("scale");
const [width, height, detail] = ["width", "height", "detail"].map(key => Number(stage.dataset[key]));
const LARGEST = 32;
// Where the left upper corner of the picture is on the stage, and how many CSS pixels one of its pixels takes.
const view = { x: 0, y: 0, scale: 1, fitted: true };

function smallest() {
  return Math.min(1, stage.clientWidth / width, stage.clientHeight / height);
}

function show() {
  view.scale = Math.min(LARGEST, Math.max(smallest(), view.scale));
  for (const [axis, room, length] of [["x", stage.clientWidth, width], ["y", stage.clientHeight, height]]) {
    const free = room - length * view.scale;
    view[axis] = free > 0 ? free / 2 : Math.min(0, Math.max(free, view[axis]));
  }
  for (const picture of pictures) {
    picture.style.width = `${width}px`;
    picture.style.height = `${height}px`;
    picture.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  }
  stage.classList.toggle("pixels", view.scale >= 2 * detail);
  output.textContent = `${Math.round(100 * view.scale)} %`;
}

function fit() {
  view.scale = smallest();
  view.fitted = true;
  show();
}

// Zooms by a factor, and what is at (x, y) of the stage stays there.
function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const scale = Math.min(LARGEST, Math.max(smallest(), view.scale * factor));
  view.x = x - (x - view.x) * scale / view.scale;
  view.y = y - (y - view.y) * scale / view.scale;
  view.scale = scale;
  view.fitted = scale === smallest();
  show();
}

function move(x, y) {
  view.x += x;
  view.y += y;
  show();
}

document.getElementById("in").addEventListener("click", () => zoom(2));
document.getElementById("out").addEventListener("click", () => zoom(1 / 2));
document.getElementById("fit").addEventListener("click", fit);
document.getElementById("full").addEventListener("click", () => zoom(1 / view.scale));

const keys = {
  "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(1 / 2), "0": fit, "1": () => zoom(1 / view.scale),
  ArrowLeft: () => move(64, 0), ArrowRight: () => move(-64, 0), ArrowUp: () => move(0, 64), ArrowDown: () => move(0, -64),
};
stage.addEventListener("keydown", event => {
  if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    keys[event.key]();
  }
});

function place(event) {
  const box = stage.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

stage.addEventListener("wheel", event => {
  event.preventDefault();
  const { x, y } = place(event);
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), x, y);
}, { passive: false });
stage.addEventListener("dblclick", event => {
  const { x, y } = place(event);
  zoom(2, x, y);
});

// One finger or the mouse moves the picture or the line between the two; two fingers zoom.
const cut = document.getElementById("cut");
const grip = document.getElementById("grip");
const pointers = new Map();
let gripped = null;

function compare() {
  stage.style.setProperty("--cut", `${cut.value}%`);
}

stage.addEventListener("pointerdown", event => {
  if (event.button !== 0) return;
  pointers.set(event.pointerId, place(event));
  if (grip && event.target === grip) gripped = event.pointerId;
  stage.setPointerCapture(event.pointerId);
  stage.classList.add("moving");
});
stage.addEventListener("pointermove", event => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = place(event);
  pointers.set(event.pointerId, now);
  if (gripped === event.pointerId) {
    cut.value = 100 * now.x / stage.clientWidth;
    compare();
  } else if (pointers.size === 1) {
    move(now.x - before.x, now.y - before.y);
  } else {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId && id !== gripped).map(([, at]) => at);
    if (!other) return;
    const span = at => Math.hypot(at.x - other.x, at.y - other.y);
    move((now.x - before.x) / 2, (now.y - before.y) / 2);
    if (span(before) > 0) zoom(span(now) / span(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }
});
for (const end of ["pointerup", "pointercancel"]) {
  stage.addEventListener(end, event => {
    pointers.delete(event.pointerId);
    if (gripped === event.pointerId) gripped = null;
    if (!pointers.size) stage.classList.remove("moving");
  });
}
if (cut) {
  cut.addEventListener("input", compare);
  compare();
}

const frame = document.getElementById("frame");
if (frame) {
  frame.addEventListener("input", () => {
    for (const part of document.querySelectorAll("[data-frame]")) {
      part.hidden = part.dataset.frame !== frame.value;
      if (!part.hidden && part.matches("dl div")) frame.setAttribute("aria-valuetext", part.textContent.trim());
    }
  });
}

new ResizeObserver(() => view.fitted ? fit() : show()).observe(stage);
fit();

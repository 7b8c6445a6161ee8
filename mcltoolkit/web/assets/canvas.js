// A label map to paint. It holds class numbers, never colours, so a stroke has no soft border.
// Runs as the body of a function of Gradio's HTML component: element, props, trigger, watch.
const UNDO_STEPS = 40;
const BRUSHES = [
  { name: "Fine brush", share: 1 / 64, dot: 4 },
  { name: "Small brush", share: 1 / 24, dot: 8 },
  { name: "Medium brush", share: 1 / 10, dot: 13 },
  { name: "Large brush", share: 1 / 5, dot: 19 },
];
const FILTER_FROM = 24;
const { colours, names } = props;
const Store = names.length <= 256 ? Uint8Array : Uint16Array;

let size = [0, 0]; // height, width
let labels = new Store(0);
let photo = null;
let drawn = false;
let chosen = 0;
let brush = 2;
let filling = false;
let past = [];
let future = [];
let before = null; // the labels as they were when the running stroke began
let last = null; // where the pointer was, in pixels of the label map
let published = null; // what this side wrote last

element.innerHTML = `
  <div class="stage">
    <canvas role="img" aria-label="Label map; paint with the pointer"></canvas>
    <div class="brush" hidden></div>
    <p class="hint" hidden>Nothing drawn yet: paint here</p>
  </div>
  <div class="tools" role="toolbar" aria-label="Drawing tools">
    <div class="group brushes"></div>
    <div class="group actions">
      <button type="button" class="undo" title="Take the last stroke back (Ctrl+Z)">Undo</button>
      <button type="button" class="redo" title="Bring it again (Ctrl+Y)">Redo</button>
      <button type="button" class="blank" title="A blank canvas of the chosen class">Fill all</button>
    </div>
    <label class="under" hidden><input type="checkbox" checked> Photo under the drawing</label>
  </div>
  <input class="filter" type="search" placeholder="Find a class" aria-label="Find a class" hidden>
  <div class="palette" role="radiogroup" aria-label="Class to paint with"></div>`;
const find = (selector) => element.querySelector(selector);
const stage = find(".stage");
const canvas = find("canvas");
const ring = find(".brush");
const undoButton = find(".undo");
const redoButton = find(".redo");
const under = find(".under");
const context = canvas.getContext("2d");

function button(parent, className, title, content, action) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className, title });
  made.setAttribute("aria-label", title);
  made.append(content);
  made.addEventListener("click", action);
  parent.append(made);
  return made;
}

function dot(width) {
  const made = document.createElement("i");
  made.style.width = made.style.height = `${width}px`;
  return made;
}

const brushButtons = BRUSHES.map(({ name, dot: width }, number) =>
  button(find(".brushes"), "tool", name, dot(width), () => {
    [brush, filling] = [number, false];
    showChoice();
  }),
);
const fillButton = button(find(".brushes"), "tool fill", "Fill the area that you point at", "Fill area", () => {
  filling = true;
  showChoice();
});
const classButtons = names.map((name, number) => {
  const made = button(find(".palette"), "class", name, dot(18), () => {
    chosen = number;
    showChoice();
  });
  made.firstChild.style.background = `rgb(${colours[number].join(",")})`;
  const text = document.createElement("span");
  text.textContent = name;
  made.append(text);
  made.setAttribute("role", "radio");
  return made;
});

function showChoice() {
  brushButtons.forEach((made, number) => {
    made.setAttribute("aria-pressed", String(!filling && number === brush));
  });
  fillButton.setAttribute("aria-pressed", String(filling));
  classButtons.forEach((made, number) => made.setAttribute("aria-checked", String(number === chosen)));
  find(".hint").hidden = drawn || Boolean(before);
  undoButton.disabled = !past.length;
  redoButton.disabled = !future.length;
}

function paint() {
  const [height, width] = size;
  const picture = context.createImageData(width, height);
  labels.forEach((label, place) => {
    const [red, green, blue] = colours[label];
    picture.data.set([red, green, blue, 255], 4 * place);
  });
  context.putImageData(picture, 0, 0);
}

// Base64 of the class numbers, little endian where they need two bytes.
function encode() {
  const bytes = new Uint8Array(labels.buffer);
  let text = "";
  for (let start = 0; start < bytes.length; start += 32768) {
    text += String.fromCharCode(...bytes.subarray(start, start + 32768));
  }
  return btoa(text);
}

function publish() {
  published = { height: size[0], width: size[1], labels: encode(), photo, drawn };
  props.value = published;
  showChoice();
}

function take(value) {
  if (!value) return;
  size = [value.height, value.width];
  const text = atob(value.labels);
  labels = new Store(Uint8Array.from(text, (character) => character.charCodeAt(0)).buffer);
  [photo, drawn, past, future] = [value.photo, value.drawn, [], []];
  before = last = null; // a running stroke was on the old map, maybe of another size
  [canvas.height, canvas.width] = size;
  stage.style.aspectRatio = `${size[1]} / ${size[0]}`;
  stage.style.setProperty("--aspect", size[1] / size[0]);
  under.hidden = !photo;
  showPhoto();
  paint();
  showChoice();
}

function showPhoto() {
  const shown = photo && under.querySelector("input").checked;
  stage.style.backgroundImage = shown ? `url("${photo}")` : "none";
  canvas.style.opacity = shown ? 0.6 : 1;
}

function remember(old) {
  past = [...past.slice(1 - UNDO_STEPS), old];
  future = [];
  drawn = true;
}

function diameter() {
  return Math.max(1, Math.round(Math.min(...size) * BRUSHES[brush].share));
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientY - box.top) / box.height) * size[0],
    ((event.clientX - box.left) / box.width) * size[1],
  ];
}

// All pixels whose centre lies within the brush; at least the pixel that is pointed at.
function stamp([row, column]) {
  const radius = diameter() / 2;
  const [height, width] = size;
  for (let y = Math.max(0, Math.floor(row - radius)); y <= Math.min(height - 1, row + radius); y++) {
    for (let x = Math.max(0, Math.floor(column - radius)); x <= Math.min(width - 1, column + radius); x++) {
      if ((y + 0.5 - row) ** 2 + (x + 0.5 - column) ** 2 <= radius ** 2) labels[y * width + x] = chosen;
    }
  }
  const [y, x] = [Math.floor(row), Math.floor(column)];
  if (y >= 0 && y < height && x >= 0 && x < width) labels[y * width + x] = chosen;
}

function strokeTo(end) {
  const start = last ?? end;
  const step = Math.max(0.5, diameter() / 4);
  const parts = Math.max(1, Math.ceil(Math.hypot(end[0] - start[0], end[1] - start[1]) / step));
  for (let part = 0; part <= parts; part++) {
    stamp(start.map((value, axis) => value + ((end[axis] - value) * part) / parts));
  }
  last = end;
  paint();
}

function fill([row, column]) {
  const [height, width] = size;
  const first = Math.min(height - 1, Math.max(0, Math.floor(row))) * width
    + Math.min(width - 1, Math.max(0, Math.floor(column)));
  const old = labels[first];
  if (old === chosen) return;
  const open = [first];
  labels[first] = chosen;
  while (open.length) {
    const at = open.pop();
    const x = at % width;
    for (const [next, inside] of [
      [at - 1, x > 0], [at + 1, x < width - 1], [at - width, at >= width], [at + width, at < labels.length - width],
    ]) {
      if (inside && labels[next] === old) {
        labels[next] = chosen;
        open.push(next);
      }
    }
  }
  paint();
}

function showRing(event) {
  const box = canvas.getBoundingClientRect();
  const width = (diameter() * box.width) / size[1];
  ring.hidden = filling || event.pointerType === "touch";
  ring.style.width = ring.style.height = `${width}px`;
  ring.style.left = `${event.clientX - box.left - width / 2}px`;
  ring.style.top = `${event.clientY - box.top - width / 2}px`;
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || before) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  before = labels.slice();
  last = null;
  showChoice();
  if (filling) fill(place(event));
  else strokeTo(place(event));
});
canvas.addEventListener("pointermove", (event) => {
  showRing(event);
  if (!before || filling) return;
  const all = event.getCoalescedEvents?.() ?? [];
  (all.length ? all : [event]).forEach((part) => strokeTo(place(part)));
});
canvas.addEventListener("pointerleave", () => { ring.hidden = true; });
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => {
    if (!before) return;
    remember(before);
    before = null;
    publish();
  });
}

function swap(from, to) {
  if (!from.length) return;
  to.push(labels);
  labels = from.pop();
  drawn = true;
  paint();
  publish();
}
undoButton.addEventListener("click", () => swap(past, future));
redoButton.addEventListener("click", () => swap(future, past));
find(".blank").addEventListener("click", () => {
  remember(labels.slice());
  labels.fill(chosen);
  paint();
  publish();
});
under.addEventListener("change", showPhoto);
element.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.target.matches("input")) return;
  const key = event.key.toLowerCase();
  const again = key === "y" || (key === "z" && event.shiftKey);
  if (!again && key !== "z") return;
  event.preventDefault();
  if (again) swap(future, past);
  else swap(past, future);
});

const filter = find(".filter");
filter.hidden = names.length < FILTER_FROM;
filter.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase();
  classButtons.forEach((made, number) => {
    made.hidden = !names[number].toLowerCase().includes(wanted);
  });
});

watch("value", () => {
  if (JSON.stringify(props.value) !== JSON.stringify(published)) take(props.value);
});
take(props.value);
showChoice();

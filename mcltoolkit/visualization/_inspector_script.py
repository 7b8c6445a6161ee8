"""The script of the match inspector: plain JavaScript that asks for nothing outside the page."""

SCRIPT = r"""
(() => {
"use strict";
const RAMP = [[70, 10, 110], [190, 40, 100], [245, 110, 40], [255, 225, 110]];
const STRONGEST = 0.9;

function heatColour(strength) {
  const at = Math.min(strength, 0.9999) * (RAMP.length - 1), i = Math.floor(at), t = at - i;
  return RAMP[i].map((value, k) => value + t * (RAMP[i + 1][k] - value));
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

class Table {
  constructor(buffer, grid, other, block) {
    const blocks = ([h, w]) => [Math.ceil(h / block), Math.ceil(w / block)];
    this.grids = [grid, other];
    this.blocks = [blocks(grid), blocks(other)];
    this.block = block;
    const [n, m] = this.blocks.map(([h, w]) => h * w);
    const [all, others] = this.grids.map(([h, w]) => h * w);
    let at = 0;
    const take = (Kind, count) => {
      const found = new Kind(buffer, at, count);
      at += count * Kind.BYTES_PER_ELEMENT;
      return found;
    };
    this.scales = take(Float32Array, n);
    this.peaks = [take(Uint16Array, all), take(Uint16Array, others)];
    this.weights = take(Uint8Array, n * m);
    this.sure = [take(Uint8Array, all), take(Uint8Array, others)];
  }

  // Strengths in [0, 1] on the other side's blocks, its peak and the peak's weight.
  look(side, [row, column]) {
    const place = row * this.grids[side][1] + column;
    const [n, m] = this.blocks.map(([h, w]) => h * w);
    const from = Math.floor(row / this.block) * this.blocks[side][1]
      + Math.floor(column / this.block);
    const heat = new Float32Array(side === 0 ? m : n);
    if (side === 0) {
      for (let i = 0; i < m; i++) heat[i] = this.weights[from * m + i] / 255;
    } else {
      let most = 0;
      for (let i = 0; i < n; i++) {
        heat[i] = (this.weights[i * m + from] / 255) ** 2 * this.scales[i];
        most = Math.max(most, heat[i]);
      }
      for (let i = 0; i < n; i++) heat[i] = most > 0 ? Math.sqrt(heat[i] / most) : 0;
    }
    const peak = this.peaks[side][place], width = this.grids[1 - side][1];
    const weight = (this.sure[side][place] / 255) ** 2;
    return { heat, peak: [Math.floor(peak / width), peak % width], weight };
  }
}

class Inspector {
  constructor(root) {
    this.root = root;
    this.stages = [...root.querySelectorAll(".stage")];
    this.says = root.querySelector(".says");
    this.canvases = this.stages.map((stage, side) => this.listen(stage, side));
    this.pointed = null;
  }

  async load() {
    if (this.table) return;
    const data = this.root.dataset;
    const grids = [data.grid, data.exemplarGrid].map((text) => text.split(",").map(Number));
    this.table = new Table(await unpack(data.table), ...grids, Number(data.block));
    const [h, w] = this.table.grids[0];
    this.show(0, [Math.floor(h / 2), Math.floor(w / 2)]);
    const again = new ResizeObserver(() => this.draw());
    this.stages.forEach((stage) => again.observe(stage));
    this.root.dataset.ready = "1";
  }

  fail(error) {
    const old = typeof DecompressionStream === "undefined";
    this.says.textContent = old
      ? "The inspector does not work here: this browser is too old to unpack the match "
        + "(it has no DecompressionStream). Open the page in a newer one."
      : `The inspector does not work here: the match in this page cannot be read (${error}).`;
    this.root.dataset.failed = "1";
  }

  listen(stage, side) {
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label",
      `${side === 0 ? "Output" : "Exemplar"}: choose a place with the arrow keys`);
    stage.append(canvas);
    const point = (event) => {
      if (!this.table) return;
      const box = canvas.getBoundingClientRect(), [h, w] = this.table.grids[side];
      const clip = (value, count) => Math.min(Math.max(Math.floor(value * count), 0), count - 1);
      this.show(side, [clip((event.clientY - box.top) / box.height, h),
        clip((event.clientX - box.left) / box.width, w)]);
    };
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move || !this.table || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const [h, w] = this.table.grids[side];
      const far = event.shiftKey ? Math.max(1, Math.round(Math.max(h, w) / 8)) : 1;
      const start = this.pointed && this.pointed.side === side ? this.pointed.place
        : [Math.floor(h / 2) - move[0] * far, Math.floor(w / 2) - move[1] * far];
      const place = start.map((value, axis) => Math.min(Math.max(value + move[axis] * far, 0),
        (axis ? w : h) - 1));
      this.show(side, place);
    });
    return canvas;
  }

  show(side, place) {
    this.pointed = { side, place, ...this.table.look(side, place) };
    const { peak, weight } = this.pointed, data = this.root.dataset;
    data.side = side === 0 ? "output" : "exemplar";
    data.place = place.join(",");
    data.peak = weight || side === 0 ? peak.join(",") : "";
    data.weight = weight.toFixed(4);
    const where = ([row, column]) => `row ${row}, column ${column}`;
    const share = weight >= 0.01 ? `${Math.round(100 * weight)} %` : "less than 1 %";
    this.says.textContent = side === 0
      ? `Output ${where(place)} looks most at exemplar ${where(peak)}, with ${share} of its weight.`
      : weight
        ? `Exemplar ${where(place)} is looked at most from output ${where(peak)}, `
          + `with ${share} of that place's weight.`
        : `Exemplar ${where(place)} is looked at from nowhere.`;
    this.draw();
  }

  draw() {
    if (!this.pointed) return;
    this.canvases.forEach((canvas, side) => {
      const ratio = window.devicePixelRatio || 1;
      const width = Math.round(this.stages[side].clientWidth * ratio);
      const height = Math.round(this.stages[side].clientHeight * ratio);
      if (!width || !height) return;
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext("2d"), own = side === this.pointed.side;
      this.stages[side].classList.toggle("pale", !own);
      const [h, w] = this.table.grids[side], cell = [height / h, width / w];
      if (own) this.markCell(context, cell, ratio);
      else this.drawHeat(context, side, cell, ratio);
    });
  }

  markCell(context, [high, wide], ratio) {
    const [row, column] = this.pointed.place, least = 7 * ratio;
    const height = Math.max(high, least), width = Math.max(wide, least);
    const x = (column + 0.5) * wide - width / 2, y = (row + 0.5) * high - height / 2;
    for (const [colour, line] of [["#000", 4], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line * ratio;
      context.strokeRect(x, y, width, height);
    }
  }

  drawHeat(context, side, [high, wide], ratio) {
    const { heat, peak, weight } = this.pointed, [rows, columns] = this.table.blocks[side];
    const small = document.createElement("canvas");
    small.width = columns;
    small.height = rows;
    const inner = small.getContext("2d"), picture = inner.createImageData(columns, rows);
    for (let i = 0; i < heat.length; i++) {
      picture.data.set(heatColour(heat[i]), 4 * i);
      picture.data[4 * i + 3] = Math.round(255 * STRONGEST * heat[i]);
    }
    inner.putImageData(picture, 0, 0);
    context.imageSmoothingEnabled = false;
    const block = this.table.block;
    context.drawImage(small, 0, 0, columns * block * wide, rows * block * high);
    if (!weight && side === 0) return;
    const x = (peak[1] + 0.5) * wide, y = (peak[0] + 0.5) * high, radius = 9 * ratio;
    for (const [colour, line] of [["#000", 4], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line * ratio;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + dx * radius * 0.5, y + dy * radius * 0.5);
        context.lineTo(x + dx * radius * 1.6, y + dy * radius * 1.6);
      }
      context.stroke();
    }
  }
}

for (const group of document.querySelectorAll(".inspectors")) {
  const roots = [...group.querySelectorAll(".inspector")];
  const inspectors = roots.map((root) => new Inspector(root));
  const choices = document.createElement("div");
  choices.className = "choices";
  choices.setAttribute("role", "group");
  choices.setAttribute("aria-label", "Sample to inspect");
  const choose = (chosen) => {
    roots.forEach((root, i) => {
      root.hidden = i !== chosen;
      if (buttons[i]) buttons[i].setAttribute("aria-pressed", String(i === chosen));
    });
    inspectors[chosen].load().catch((error) => inspectors[chosen].fail(error));
  };
  const buttons = roots.length < 2 ? [] : roots.map((root, i) => {
    const button = document.createElement("button");
    const picture = root.querySelector("img").cloneNode();
    button.type = "button";
    button.title = root.dataset.name;
    picture.alt = root.dataset.name;
    button.append(picture);
    button.addEventListener("click", () => choose(i));
    choices.append(button);
    return button;
  });
  if (buttons.length) group.prepend(choices);
  group.classList.add("live");
  choose(0);
}
})();
"""

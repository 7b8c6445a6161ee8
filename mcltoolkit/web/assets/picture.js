// A picture that can be pointed at, enlarged pixel by pixel, with its file to download.
// Runs as the body of a function of Gradio's HTML component: element, props, trigger, watch.
const STEP = 1 / 32;
let place = [0.5, 0.5]; // of the last point, as shares of width and height

element.innerHTML = `
  <div class="title"></div>
  <div class="stage">
    <img alt="" hidden draggable="false">
    <div class="mark" hidden></div>
    <p class="empty"></p>
  </div>
  <div class="files"></div>`;
const find = (selector) => element.querySelector(selector);
const stage = find(".stage");
const image = find("img");
const mark = find(".mark");
find(".title").textContent = props.heading;
find(".empty").textContent = props.empty;
image.alt = props.heading;

function bytesOf(uri) {
  const text = atob(uri.slice(uri.indexOf(",") + 1));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function offer({ label, name, src }) {
  const link = document.createElement("a");
  link.textContent = label;
  link.download = name;
  link.href = URL.createObjectURL(new Blob([bytesOf(src)], { type: "image/png" }));
  find(".files").append(link);
}

function show() {
  const value = props.value;
  element.querySelectorAll(".files a").forEach((link) => {
    URL.revokeObjectURL(link.href);
    link.remove();
  });
  image.hidden = !value;
  find(".empty").hidden = Boolean(value);
  mark.hidden = !value?.mark;
  const pointed = Boolean(value && props.pointed);
  stage.classList.toggle("pointed", pointed);
  stage.tabIndex = pointed ? 0 : -1;
  if (!value) return;
  if (image.getAttribute("src") !== value.src) image.src = value.src;
  stage.style.setProperty("--aspect", value.width / value.height);
  image.style.aspectRatio = `${value.width} / ${value.height}`;
  if (value.mark) {
    place = value.mark;
    mark.style.left = `${100 * place[0]}%`;
    mark.style.top = `${100 * place[1]}%`;
  }
  (value.files ?? []).forEach(offer);
}

// Nearest pixels where a picture is enlarged; shrunk, it would lose some.
function sharpen() {
  image.classList.toggle("pixels", image.naturalWidth < image.clientWidth);
}

function pick(x, y) {
  const inside = (share) => Math.min(1 - 1e-6, Math.max(0, share));
  place = [inside(x), inside(y)];
  trigger("pick", { x: place[0], y: place[1], token: props.value?.token ?? null });
}

image.addEventListener("click", (event) => {
  if (!props.pointed) return;
  const box = image.getBoundingClientRect();
  pick((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
});
stage.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const move = moves[event.key];
  if (!move || !props.value || !props.pointed) return;
  event.preventDefault();
  pick(place[0] + move[0] * STEP, place[1] + move[1] * STEP);
});
image.addEventListener("load", sharpen);
new ResizeObserver(sharpen).observe(image);
watch("value", show);
show();

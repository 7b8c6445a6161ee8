// Small pictures to choose from. The value is the number of the chosen one, or null.
// Runs as the body of a function of Gradio's HTML component: element, props, trigger, watch.
const group = document.createElement("div");
group.className = "picker";
group.setAttribute("role", "radiogroup");
group.setAttribute("aria-label", props.heading);
element.replaceChildren(group);

const buttons = props.items.map(({ src, name }, index) => {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", title: name });
  made.setAttribute("role", "radio");
  made.setAttribute("aria-label", name);
  const image = document.createElement("img");
  Object.assign(image, { src, alt: "", draggable: false });
  made.append(image);
  made.addEventListener("click", () => {
    props.value = index;
    show();
    trigger("pick", { index });
  });
  group.append(made);
  return made;
});

function show() {
  buttons.forEach((made, index) => made.setAttribute("aria-checked", String(index === props.value)));
}
watch("value", show);
show();

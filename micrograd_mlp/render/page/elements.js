// Elements of the page. Text reaches it as text nodes and attributes alone, never as markup.

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
};

const button = (text, label, onclick, attributes = {}) =>
  element("button", { type: "button", "aria-label": label, title: label, onclick, ...attributes }, text);

// Has a parent show a list of items, each with a key and a function that makes its element. An element with
// the same key as before stays untouched, so that the browser need not lay it out again.
const showItems = (parent, items) => {
  items.forEach(([key, make], i) => {
    const shown = parent.children[i];
    if (shown?.itemKey === key) return;
    const made = make();
    made.itemKey = key;
    if (shown) shown.replaceWith(made);
    else parent.append(made);
  });
  while (parent.children.length > items.length) parent.lastElementChild.remove();
};

// A line drawing of 16 by 16, for a button.
const icon = (path) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  made.setAttribute("viewBox", "0 0 16 16");
  made.setAttribute("aria-hidden", "true");
  line.setAttribute("d", path);
  made.append(line);
  return made;
};

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

// Once in a frame, however often it is asked for.
const oncePerFrame = (action) => {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      action();
    });
  };
};

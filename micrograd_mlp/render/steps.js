// Replaces the static picture in `host` by the same picture with controls. All numbers and texts come
// from `data`; labels reach the page as text nodes and attributes only, never as markup.
((host, data) => {
  const { nodes, steps } = data;
  const stillness = matchMedia("(prefers-reduced-motion: reduce)");
  const darkness = matchMedia("(prefers-color-scheme: dark)");

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const svgElement = (name, attributes = {}) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  // What is on the page

  const source = atob(host.querySelector("img").src.split(",")[1]);
  const parsed = new DOMParser().parseFromString(source, "image/svg+xml");
  const svg = document.importNode(parsed.documentElement, true);
  svg.setAttribute("role", "group"); // now that its boxes speak for themselves
  const width = Number(svg.getAttribute("width"));
  svg.style.width = "100%"; // shrinks to the page, but not until it can't be read; then the picture scrolls
  svg.style.maxWidth = `${width}px`;
  svg.style.minWidth = `${Math.round(width * 0.62)}px`;

  const phase = element("span", { class: "phase" });
  const arithmetic = element("div");
  const total = element("div", { class: "total" });
  const line = element("div", { class: "arithmetic", role: "status", "aria-live": "polite", "aria-atomic": "true" }, arithmetic, total);
  const picture = element("div", { class: "picture", tabindex: "0", role: "group", "aria-label": "the graph" }, svg);
  const button = (text, label, action) => {
    const made = element("button", { type: "button", "aria-label": label, title: label }, text);
    made.addEventListener("click", action);
    return made;
  };
  const first = button("« Start", "to the start (Home)", () => go(0));
  const back = button("‹ Back", "one step back (left arrow)", () => go(now - 1));
  const play = button("Play", "play (space)", () => (timer === null ? start() : stop()));
  play.classList.add("play");
  const next = button("Next ›", "one step on (right arrow)", () => go(now + 1));
  const last = button("End »", "to the end (End)", () => go(steps.length));
  const slider = element("input", { type: "range", min: 0, max: steps.length, step: 1, "aria-label": "step" });
  slider.addEventListener("input", () => go(Number(slider.value)));
  const speed = element("select", { "aria-label": "speed" });
  for (const times of [0.5, 1, 2, 4]) speed.append(element("option", { value: times }, `${times}×`));
  speed.value = "1";

  const legend = element("footer");
  const kinds = [["input", "input"], ["parameter", "parameter"], ["constant", "constant"], ["op", "operation"]];
  for (const [kind, text] of kinds) {
    if (svg.querySelector(`.${kind}`)) legend.append(element("span", {}, element("span", { class: `swatch ${kind}` }), text));
  }
  const keys = element("span");
  keys.append(element("kbd", {}, "←"), " ", element("kbd", {}, "→"), " step, ", element("kbd", {}, "space"), " play");
  legend.append(
    element("span", {}, element("span", { class: "swatch gradient" }), "gradient, filled as it arrives; all start from 0"),
    keys,
  );

  const card = element("section", { class: "card", tabindex: "-1", "aria-label": `${data.title}, step by step` },
    element("header", {}, element("h2", {}, data.title), phase), line, picture,
    element("div", { class: "controls" }, first, back, play, next, last, slider, speed), legend);
  const root = host.attachShadow({ mode: "open" });
  root.append(element("style", {}, data.style), card);

  // JupyterLab says which theme it has; any other page follows the system.
  const theme = () => {
    const lab = document.body.dataset.jpThemeLight;
    card.classList.toggle("dark", lab === undefined ? darkness.matches : lab === "false");
  };
  theme();
  darkness.addEventListener("change", theme);
  new MutationObserver(theme).observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });

  // The parts of the picture that change

  const boxes = nodes.map((_, i) => {
    const group = svg.querySelector(`[data-node="${i}"]`);
    const part = (name) => group.querySelector(name);
    group.setAttribute("role", "img");
    return { group, title: part("title"), data: part(".data"), shownData: part(".data").textContent, grad: part(".grad"), fill: part(".fill") };
  });
  const edges = new Map();
  for (const part of svg.querySelectorAll("[data-edge]")) {
    const name = part.dataset.edge;
    edges.set(name, [...(edges.get(name) ?? []), part]);
  }
  const mark = (name, kind) => edges.get(name).forEach((part) => part.classList.add(kind));
  const local = svgElement("g", { class: "local" });
  const localBox = svgElement("rect", { y: -8.5, height: 17, rx: 5 });
  const localText = svgElement("text", { y: 3.5 });
  local.append(localBox, localText);
  const traveller = svgElement("circle", { class: "traveller", r: 5, visibility: "hidden" });
  svg.append(local, traveller);

  // Showing the state after `now` steps, always from the beginning, so that no order of clicks matters

  let now = -1;
  const show = () => {
    const computed = nodes.map(() => false);
    const grads = nodes.map(() => null);
    const arrived = nodes.map(() => 0);
    for (const part of svg.querySelectorAll(".edge, .arrow")) {
      part.classList.remove("active", "done");
      part.classList.add("waiting");
    }
    for (const step of steps.slice(0, now)) {
      if (step.phase === "forward") {
        computed[step.node] = true;
        for (let k = 0; k < nodes[step.node].edges; k++) {
          edges.get(`${step.node}-${k}`).forEach((part) => part.classList.remove("waiting"));
        }
      } else {
        grads[step.node] = step.grad;
        arrived[step.node] += 1;
        if (step.edge !== null) mark(step.edge, "done");
      }
    }
    boxes.forEach((box, i) => {
      const node = nodes[i];
      box.group.classList.toggle("waiting", !computed[i]);
      box.group.classList.remove("active");
      box.data.textContent = computed[i] ? box.shownData : "";
      let title = computed[i] ? `${node.name}: data ${node.data}` : `${node.name}: not computed yet`;
      if (box.grad !== null) {
        const [short, full] = grads[i] ?? ["0", "0.0"];
        const begun = arrived[i] > 0;
        box.grad.textContent = begun ? short : "";
        box.fill.style.transform = `scaleX(${begun ? arrived[i] / node.arrivals : 0})`;
        if (begun) title += `, gradient ${full}, ${arrived[i]} of ${node.arrivals} parts`;
      }
      box.title.textContent = title;
      box.group.setAttribute("aria-label", title);
    });
    const step = steps[now - 1];
    local.setAttribute("visibility", "hidden");
    card.classList.remove("forward", "backward");
    if (step === undefined) {
      phase.textContent = `Step 0 of ${steps.length}`;
      arithmetic.textContent = "First the forward pass, value by value, then the backward pass, edge by edge.";
      total.textContent = "Press Play, or step with the arrow keys.";
      line.title = "";
    } else {
      card.classList.add(step.phase);
      phase.textContent = `${step.phase === "forward" ? "Forward" : "Backward"} pass, step ${now} of ${steps.length}`;
      arithmetic.textContent = step.text;
      total.textContent = step.total;
      line.title = step.exact;
      boxes[step.node].group.classList.add("active");
      if (step.edge !== null) {
        mark(step.edge, "active");
        const [edge] = edges.get(step.edge);
        const half = step.local.length * 3.1 + 3;
        localBox.setAttribute("x", -half);
        localBox.setAttribute("width", 2 * half);
        localText.textContent = step.local;
        local.setAttribute("transform", `translate(${edge.dataset.x} ${edge.dataset.y})`);
        local.setAttribute("visibility", "visible");
      } else if (step.phase === "forward") {
        for (let k = 0; k < nodes[step.node].edges; k++) mark(`${step.node}-${k}`, "active");
      }
    }
    slider.value = now;
    slider.setAttribute("aria-valuetext", `${phase.textContent}: ${arithmetic.textContent}`);
    first.disabled = back.disabled = now === 0;
    next.disabled = last.disabled = now === steps.length;
  };

  // Moving

  const go = (wanted) => {
    const before = now;
    now = Math.max(0, Math.min(steps.length, wanted));
    if (now === before) return;
    if (now === steps.length) stop();
    show();
    if (now === 0) return;
    follow(boxes[steps[now - 1].node].group);
    if (now === before + 1) travel(steps[now - 1]);
  };
  // Scrolls the picture alone, not the page around it.
  const follow = (group) => {
    const [seen, wanted] = [picture.getBoundingClientRect(), group.getBoundingClientRect()];
    const left = wanted.left < seen.left || wanted.right > seen.right ? wanted.left - seen.left - seen.width / 2 : 0;
    const top = wanted.top < seen.top || wanted.bottom > seen.bottom ? wanted.top - seen.top - seen.height / 2 : 0;
    if (left || top) picture.scrollBy({ left, top, behavior: stillness.matches ? "auto" : "smooth" });
  };
  // A dot runs along the edge: from parents in the forward pass, to the parent in the backward pass.
  let run = 0;
  const travel = (step) => {
    const name = step.phase === "forward" ? `${step.node}-0` : step.edge;
    const mine = (run += 1);
    traveller.setAttribute("visibility", "hidden");
    if (stillness.matches || name === null || !edges.has(name)) return;
    const [path] = edges.get(name);
    const length = path.getTotalLength();
    let begun = null;
    const frame = (time) => {
      if (mine !== run) return;
      begun ??= time;
      const part = Math.min(1, (time - begun) / 350);
      const point = path.getPointAtLength(length * (step.phase === "forward" ? part : 1 - part));
      traveller.setAttribute("cx", point.x);
      traveller.setAttribute("cy", point.y);
      traveller.setAttribute("visibility", part < 1 ? "visible" : "hidden");
      if (part < 1) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  };

  let timer = null;
  const tick = () => {
    if (!host.isConnected) return stop(); // the output was cleared
    timer = setTimeout(tick, 1200 / Number(speed.value));
    go(now + 1);
  };
  const start = () => {
    if (now === steps.length) go(0);
    play.textContent = "Pause";
    play.setAttribute("aria-label", "pause (space)");
    line.setAttribute("aria-live", "off"); // at this speed nobody could listen
    tick();
  };
  const stop = () => {
    clearTimeout(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-label", "play (space)");
    line.setAttribute("aria-live", "polite");
  };

  const actions = {
    ArrowRight: () => go(now + 1),
    ArrowLeft: () => go(now - 1),
    Home: () => go(0),
    End: () => go(steps.length),
    " ": () => (timer === null ? start() : stop()),
  };
  // A page of its own listens everywhere; in a notebook only where the focus is inside.
  (data.wholePage ? document : card).addEventListener("keydown", (event) => {
    const at = event.composedPath()[0];
    const own = at instanceof HTMLSelectElement || (event.key === " " && at instanceof HTMLButtonElement);
    if (own || event.ctrlKey || event.altKey || event.metaKey || !(event.key in actions)) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  });
  card.addEventListener("pointerdown", (event) => {
    if (!event.composedPath()[0].closest("button, input, select")) card.focus({ preventScroll: true });
  });

  go(0);
})

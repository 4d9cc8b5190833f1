// The page: it holds the state, and joins canvas, inspector, descent and steps.

class Explorer {
  constructor(host, data, functions, style, model) {
    this.data = data;
    this.hasKernel = model !== undefined;
    this.closing = new AbortController(); // ends every listener outside of the page
    data.functions = functions;
    this.graph = new Graph(data, functions);
    this.notation = new Notation(data, this.graph);
    this.arrangement = new Arrangement(data, this.graph).arrange();
    this.history = new History(this);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.edgeMode = "local";
    this.selected = null; // a node
    this.selectedBox = null; // "g3", a group that is selected instead
    this.build(host, style);
    this.stepping = new Stepping(this);
    this.sizes = new ResizeObserver((entries) => this.resized(entries));
    this.descent = new Descent(this);
    this.side.append(this.inspector.root, this.descent.root);
    this.middle.append(this.stepping.root);
    this.setMode(data.mode);
    this.select(this.firstChoice());
    this.address = new Address(this);
    this.address.read();
    this.opened = false;
    this.sizes.observe(this.canvas);
    this.ready = true;
    if (model) this.kernel = new Kernel(this, model);
    this.refresh();
  }

  close() {
    this.closing.abort();
    this.sizes.disconnect();
    this.theme.disconnect();
    this.kernel?.close();
  }

  firstChoice() {
    const kinds = this.data.nodes.map((node) => node.kind);
    for (const kind of ["parameter", "input"]) if (kinds.includes(kind)) return this.firstOf(kind);
    return this.graph.output;
  }

  // W1[1,1] in a network; elsewhere the first operand, which comes last in topological order.
  firstOf(kind) {
    const named = this.data.nodes.map((node, i) => [node.kind === kind && node.label, i]).filter(([label]) => label);
    if (named.some(([label]) => label.startsWith("W1"))) return named.reduce((a, b) => (a[0] <= b[0] ? a : b))[1];
    return this.data.nodes.findLastIndex((node) => node.kind === kind);
  }

  // What is on the page

  build(host, style) {
    const { data } = this;
    this.canvas = element("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "graph",
      "aria-label": `Graph of ${data.title}: ${this.graph.size} nodes. Arrow keys move, Enter changes or unfolds, plus and minus change a number, brackets by ten steps.`,
    });
    this.view = new View(this.canvas, this);
    this.inspector = new Inspector(this);
    this.spoken = element("div", { class: "spoken", role: "status", "aria-live": "polite", "aria-atomic": "true" });
    this.headline = element("div", { class: "headline" });
    this.problems = element("div", { class: "problems" });
    for (const op of data.ops) {
      if (!op.problem) continue;
      this.problems.append(element("p", { class: "warning" },
        `The page can't compute ${op.name}: ${op.problem}. ${this.hasKernel ? "Python computes it." : "Its recorded value holds until something that it depends on is changed; then it shows ?."}`));
    }
    this.middle = element("div", { class: "middle" }, element("div", { class: "stage" }, this.canvas, this.legend()));
    this.side = element("aside", { class: "side" });
    this.card = element("section", { class: "card", tabindex: "-1", "aria-label": `${data.title}, a graph to explore` },
      this.toolbar(), this.problems, element("div", { class: "body" }, this.middle, this.side), this.spoken);
    if (data.wholePage) this.card.classList.add("whole");
    host.dataset.lmSuppressShortcuts = "true"; // keys on the page are the page's, not JupyterLab's
    this.root = host.attachShadow({ mode: "open" });
    this.root.append(element("style", {}, style), this.card);
    this.followTheme();
    new Pointer(this);
    new Keyboard(this);
  }

  toolbar() {
    this.modes = { explore: button("Explore", "change numbers and see what follows", () => this.setMode("explore")), step: button("Step through", "both passes, step by step", () => this.setMode("step")) };
    const names = element("datalist", { id: "names" });
    for (const name of new Set(this.data.nodes.map((node) => node.name).filter(Boolean))) {
      if (names.childElementCount < 3000) names.append(element("option", { value: name }));
    }
    this.finder = element("input", { class: "find", list: "names", placeholder: "find a label", "aria-label": "find a node by its label (/)", autocomplete: "off", spellcheck: "false" });
    this.finder.addEventListener("change", () => this.find(this.finder.value));
    this.finder.addEventListener("keydown", (event) => event.key === "Enter" && this.find(this.finder.value));
    const edges = element("select", { "aria-label": "edges show" },
      element("option", { value: "local" }, "local derivatives"), element("option", { value: "flow" }, "gradient that flows"));
    edges.addEventListener("change", () => this.setEdges(edges.value));
    this.edgesSelect = edges;
    const tools = [element("div", { class: "modes", role: "group", "aria-label": "mode" }, this.modes.explore, this.modes.step)];
    tools.push(element("span", { class: "grow" }), this.finder, names);
    if (this.data.groups.length) {
      const folds = element("div", { class: "modes", role: "group", "aria-label": "fold" });
      for (const [text, level, label] of [["Layers", "layers", "fold everything to layers"], ["Neurons", "neurons", "fold everything to neurons"], ["Nodes", "all", "unfold everything"]]) {
        folds.append(button(text, label, () => this.openFor(level)));
      }
      tools.push(folds);
    }
    tools.push(element("label", { class: "edges" }, "edges: ", edges),
      element("div", { class: "modes", role: "group", "aria-label": "zoom" },
        button("−", "zoom out (−)", () => this.view.zoom(1 / 1.25)), button("Fit", "fit everything into the window (f)", () => this.view.fit()),
        button("+", "zoom in", () => this.view.zoom(1.25))),
      button(icon("M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"), "full screen", () => this.fullScreen(), { class: "icon" }),
      button("Copy as Python", "copy a program with the present numbers", () => this.copy()));
    return element("header", { class: "toolbar" }, this.headline, ...tools);
  }

  legend() {
    const { data } = this;
    const kinds = [["input", "input"], ["parameter", "parameter"], ["constant", "constant"], ["op", "operation"]];
    const present = new Set(data.nodes.map((node) => node.kind));
    const legend = element("div", { class: "legend", "aria-hidden": "true" });
    for (const [kind, text] of kinds) if (present.has(kind)) legend.append(element("span", {}, element("span", { class: `swatch ${kind}` }), text));
    if (data.groups.length) legend.append(element("span", {}, element("span", { class: "swatch group" }), "folded"));
    legend.append(element("span", {}, element("span", { class: "stroke positive" }), "positive"), element("span", {}, element("span", { class: "stroke negative" }), "negative"));
    return legend;
  }

  // JupyterLab says which theme it has; any other page follows the system.
  followTheme() {
    const darkness = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => {
      const lab = document.body.dataset.jpThemeLight;
      const dark = lab === undefined ? darkness.matches : lab === "false";
      this.card.classList.toggle("dark", dark);
      const style = getComputedStyle(this.card);
      const colour = (name) => style.getPropertyValue(`--${name}`).trim();
      this.colours = { dark };
      for (const name of ["ink", "quiet", "line", "frame", "positive", "negative", "zero", "gradient", "active", "focus"]) this.colours[name] = colour(name);
      for (const [kind, { fill, border, dark_fill }] of Object.entries(this.data.palette)) {
        this.colours[kind] = { fill: dark ? dark_fill : fill, border };
        this.card.style.setProperty(`--${kind}-fill`, dark ? dark_fill : fill);
        this.card.style.setProperty(`--${kind}-border`, border);
      }
      if (this.ready) this.refresh();
    };
    follow();
    darkness.addEventListener("change", follow, { signal: this.closing.signal });
    this.theme = new MutationObserver(follow);
    this.theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  }

  resized(entries) {
    if (entries.some(({ target }) => target === this.descent.plot)) this.descent.resize();
    if (!entries.some(({ target }) => target === this.canvas) || !this.view.resize()) return;
    if (!this.opened) {
      this.opened = true;
      if (!this.address.hasFolds) this.openReadably();
      this.view.fit(true);
    }
  }

  // Unfolds as much as fits into the window at a size that can be read. Stepping goes node by node.
  openReadably() {
    const { arrangement, view, mode } = this;
    for (const level of ["all", "neurons", "layers"]) {
      arrangement.openFor(level);
      arrangement.arrange();
      const needed = level === "neurons" ? 0.58 : mode === "step" ? 0.45 : 0.72;
      if (view.fittingScale >= needed) break;
    }
    this.selectionChanged();
    this.address.opened = String([...arrangement.open]);
  }

  // Changing numbers

  change(i, x, { mark = true } = {}) {
    if (mark) this.history.mark();
    this.graph.data[i] = x;
    this.graph.compute();
    this.refresh();
    this.sayChange(i);
  }

  // One step of the keys: a tenth of the number's own size.
  nudge(i, times) {
    const x = this.graph.data[i];
    const step = 10 ** Math.floor(Math.log10(Math.max(Math.abs(x), 0.1)) - 1 + 1e-9);
    this.change(i, Number((x + times * step).toPrecision(12)));
  }

  undo() {
    if (!this.history.undo()) return this.say("nothing to undo");
    this.refresh();
    this.say("undone");
  }

  reset() {
    this.history.mark();
    for (const i of this.graph.leaves) this.graph.data[i] = this.graph.recorded[i];
    this.graph.compute();
    this.descent.curve = [this.graph.data[this.graph.output]];
    this.refresh();
    this.say("all numbers as they were recorded");
  }

  // Everything that shows numbers, once in the next frame.
  refresh() {
    const { graph, notation } = this;
    this.headline.replaceChildren(notation.symbolElement(graph.output), ` = ${minus(number(graph.data[graph.output], 6))}`);
    this.view.draw();
    this.inspector.update();
    this.stepping.update();
    this.descent.draw();
    this.address?.write();
    this.kernel?.send();
  }

  // Why Python can't compute the graph at the page's numbers; null if it can.
  kernelProblem(problem) {
    this.problems.querySelector(".kernel")?.remove();
    if (problem === null) return;
    const text = `Python has these numbers, but could not compute the graph with them: ${problem}`;
    this.problems.append(element("p", { class: "warning kernel" }, text));
    this.say(text);
  }

  sayChange(i) {
    const { graph, notation } = this;
    const output = i === graph.output ? "" : ` ${notation.name(graph.output)} = ${number(graph.data[graph.output])}, its derivative by it ${number(graph.grad[i])}.`;
    this.say(`${notation.name(i)} = ${number(graph.data[i])}.${output}`);
  }

  // For screen readers: only the last of many changes is spoken.
  say(text) {
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (this.spoken.textContent = text), 150);
  }

  // Selecting

  select(node, reveal = false) {
    if (reveal && this.arrangement.boxOf(node) !== node) this.refold(() => this.arrangement.reveal(node), node);
    this.selected = node;
    this.selectedBox = null;
    if (reveal) this.view.show(this.arrangement.boxes.get(this.arrangement.boxOf(node)));
    this.selectionChanged();
    if (this.ready) {
      const { kind, op } = this.data.nodes[node];
      const what = op === null ? kind : this.data.ops[op].name;
      this.say(`${this.notation.name(node)}, ${what}: ${number(this.graph.data[node])}, derivative ${number(this.graph.grad[node])}`);
    }
  }

  selectGroup(g) {
    this.selected = null;
    this.selectedBox = this.arrangement.open.has(g) ? `f${g}` : `g${g}`;
    const { title } = this.data.groups[g];
    const box = this.arrangement.boxes.get(this.selectedBox) ?? this.arrangement.frames.find((frame) => frame.group === g);
    this.view.show(box);
    this.selectionChanged();
    this.say(`${title}, ${this.arrangement.open.has(g) ? "unfolded" : "folded"}`);
  }

  selectBox(box) {
    if (box.group !== undefined) this.selectGroup(box.group);
    else this.select(box.node);
  }

  focusNumber() {
    this.inspector.updateNow();
    const field = this.inspector.root.querySelector(".control .number");
    field?.focus();
    field?.select();
  }

  deselect() {
    this.selected = this.selectedBox = null;
    this.selectionChanged();
  }

  selectionChanged() {
    this.onPath = null;
    if (!this.ready) return;
    this.inspector.update();
    this.view.draw();
    this.address.write();
  }

  get selectedItem() {
    const { arrangement } = this;
    if (this.selected !== null) return arrangement.boxes.get(arrangement.boxOf(this.selected));
    if (this.selectedBox === null) return undefined;
    return arrangement.boxes.get(this.selectedBox) ?? arrangement.frames.find((frame) => frame.id === this.selectedBox);
  }

  boxOf(node) {
    return this.arrangement.boxOf(node);
  }

  find(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return;
    const names = this.data.nodes.map((node) => node.name?.toLowerCase());
    let found = names.indexOf(wanted);
    if (found < 0) found = names.findLastIndex((name) => name?.startsWith(wanted));
    if (found < 0) found = names.findLastIndex((name) => name?.includes(wanted));
    this.finder.classList.toggle("wrong", found < 0);
    if (found < 0) return this.say(`nothing is called ${text}`);
    this.select(found, true);
  }

  // Folding

  toggle(g) {
    const kept = this.refold(() => this.arrangement.toggle(g), null, g);
    this.selectGroup(g);
    if (!kept) this.say("too many nodes to unfold this one too");
  }

  openFor(level) {
    const kept = this.refold(() => this.arrangement.openFor(level));
    if (this.selectedBox) this.deselect();
    this.view.fit(true);
    this.say(kept ? `folded to ${level === "all" ? "nodes" : level}` : "folded as far as needed to show everything");
  }

  // Folds, lays out again, and keeps what the eye is on at its place.
  refold(action, node = null, group = null) {
    const before = new Map([...this.arrangement.boxes].map(([id, { left, top }]) => [id, { left, top }]));
    for (const frame of this.arrangement.frames) before.set(`f${frame.group}`, { left: frame.left, top: frame.top });
    for (const [id, place] of [...before]) if (String(id).startsWith("g")) before.set(`f${id.slice(1)}`, place);
    const anchorOf = () => this.arrangement.boxes.get(`g${group}`) ?? this.arrangement.frames.find((frame) => frame.group === group);
    const anchor = group === null ? undefined : anchorOf();
    const kept = action();
    this.arrangement.arrange();
    this.inspector.shownFor = null;
    const after = group === null ? undefined : anchorOf();
    if (anchor && after) {
      this.view.camera.x += anchor.left - after.left;
      this.view.camera.y += anchor.top - after.top;
      for (const place of before.values()) {
        place.left += after.left - anchor.left;
        place.top += after.top - anchor.top;
      }
    }
    if (this.ready) this.view.glideFrom(before);
    this.address?.write();
    return kept !== false;
  }

  // Modes

  setMode(mode) {
    this.mode = mode;
    for (const [name, tab] of Object.entries(this.modes)) tab.setAttribute("aria-pressed", name === mode);
    this.card.classList.toggle("stepping", mode === "step");
    if (mode === "explore") this.stepping.stop();
    if (!this.ready) return;
    this.refresh();
    if (this.opened && this.view.resize()) this.view.fit(true);
    this.say(mode === "step" ? "stepping: arrow keys step, space plays" : "exploring");
  }

  setEdges(mode) {
    this.edgeMode = this.edgesSelect.value = mode;
    this.refresh();
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.card.requestFullscreen?.().catch(() => this.say("full screen is not allowed here"));
  }

  async copy() {
    const program = new PythonWriter(this.graph, this.notation).write();
    try {
      await navigator.clipboard.writeText(program);
      this.say("the program is in the clipboard");
    } catch {
      // No clipboard here: show the program, selected.
      const area = element("textarea", { readonly: true, rows: "14", "aria-label": "the program" });
      area.value = program;
      const dialog = element("dialog", {}, element("h3", {}, "The graph with its present numbers"), area,
        element("form", { method: "dialog" }, element("button", {}, "Close")));
      this.card.append(dialog);
      dialog.addEventListener("close", () => dialog.remove());
      dialog.showModal();
      area.select();
    }
    return program;
  }

  // What the canvas shows of nodes and edges at this moment

  drawingState() {
    const { graph } = this;
    if (this.mode === "step") return this.stepping.drawingState();
    if (this.selected !== null && !this.onPath) this.onPath = new Set([this.selected, ...graph.descendants(this.selected)]);
    const { onPath, selected } = this;
    const { nodes } = this.data;
    const selectedBox = selected === null ? null : this.boxOf(selected);
    const shown = (x) => (Number.isNaN(x) && this.graph.foreign.length ? "?" : minus(number(x)));
    return {
      look: (i) => ({ mark: i === selected ? "selected" : null, faded: false }),
      numbers: (i) => ({
        data: shown(graph.data[i]),
        grad: nodes[i].kind === "constant" ? null : shown(graph.grad[i]),
      }),
      group: (g) => (selectedBox === `g${g}` ? "selected" : null),
      number: (i, what) => graph[what][i],
      edgeMark: (edge) => {
        if (!onPath) return "plain";
        if (edge.markedFor !== onPath) {
          edge.markedFor = onPath;
          edge.mark = edge.uses.some(([child, operand]) => onPath.has(graph.parents[child][operand])) ? "strong" : "faint";
        }
        return edge.mark;
      },
    };
  }

  // What an edge stands for: its local derivative, or what flows through it; of many, the one that weighs most.
  edgeSize({ uses }) {
    let largest = 0;
    let [positive, negative] = [false, false];
    for (const [child, operand] of uses) {
      const local = this.graph.locals[child][operand];
      const size = this.edgeMode === "flow" ? local * this.graph.grad[child] : local;
      if (Math.abs(size) > Math.abs(largest) || Number.isNaN(size)) largest = size;
      positive ||= size > 0;
      negative ||= size < 0;
    }
    return { size: largest, mixed: positive && negative };
  }

  largestFlow() {
    return this.arrangement.edges.reduce((largest, edge) => {
      const size = Math.abs(this.edgeSize(edge).size);
      return Number.isFinite(size) ? Math.max(largest, size) : largest;
    }, 0);
  }

  // For teachers and tests: window.explorer

  indexOf(label) {
    if (Number.isInteger(label) && label >= 0 && label < this.graph.size) return label;
    const { nodes } = this.data;
    let found = nodes.findIndex((node) => node.name === label);
    if (found < 0) found = nodes.findLastIndex((node) => node.label === label);
    if (found < 0) throw new Error(`no node is called ${JSON.stringify(label)}`);
    return found;
  }

  get interface() {
    return {
      set: (label, x) => {
        const i = this.indexOf(label);
        if (!this.graph.isLeaf(i)) throw new Error(`${label} is computed: only leaves can be set`);
        if (typeof x !== "number") throw new Error(`a number is expected, got ${JSON.stringify(x)}`);
        this.change(i, x);
      },
      get: (label) => {
        const i = this.indexOf(label);
        return { data: this.graph.data[i], grad: this.graph.grad[i] };
      },
      explain: (label) => new Explanation(this.graph, this.notation, this.data, this.indexOf(label)).toString(),
      step: (k) => {
        this.setMode("step");
        this.stepping.go(k);
      },
      descend: (eta, steps = 1) => {
        if (!(eta > 0) || !Number.isInteger(steps) || steps < 1) throw new Error("descend(eta, steps): a positive number and a positive integer");
        this.descent.steps(steps, eta);
      },
      labels: () => this.data.nodes.map((node) => node.name),
      python: () => new PythonWriter(this.graph, this.notation).write(),
      select: (label) => this.select(this.indexOf(label), true),
      // The middle of the box that shows a node, on the canvas.
      placeOf: (label) => {
        const box = this.arrangement.boxes.get(this.boxOf(this.indexOf(label)));
        const { x, y, scale } = this.view.camera;
        return [(box.left + box.width / 2 + x) * scale, (box.top + box.height / 2 + y) * scale];
      },
      view: () => {
        const boxes = [...this.arrangement.boxes.values()];
        return { ...this.view.camera, boxes: boxes.length, seen: boxes.filter((box) => this.view.sees(box)).length };
      },
    };
  }
}

// What can be undone: the leaves' numbers, and how long the curve was.
class History {
  constructor(explorer) {
    this.explorer = explorer;
    this.past = [];
    this.leaves = explorer.graph.leaves;
  }

  // Before a change, by the page or by the kernel. Many changes by the kernel after another are one.
  mark(by = "page") {
    const { graph, descent } = this.explorer;
    const last = this.past.at(-1);
    if (by === "kernel" && this.by === "kernel" && last) return;
    this.by = by;
    const leaves = this.leaves.map((i) => graph.data[i]);
    if (last && last.leaves.every((x, k) => Object.is(x, leaves[k]))) return;
    this.past.push({ leaves, curve: descent.curve.length });
    if (this.past.length > 200) this.past.shift();
  }

  undo() {
    const { graph, descent } = this.explorer;
    let state = this.past.pop();
    while (state && state.leaves.every((x, k) => Object.is(x, graph.data[this.leaves[k]]))) state = this.past.pop();
    if (!state) return false;
    this.by = null;
    this.leaves.forEach((i, k) => (graph.data[i] = state.leaves[k]));
    graph.compute();
    descent.curve.length = Math.min(descent.curve.length, state.curve);
    if (!descent.curve.length) descent.curve.push(graph.data[graph.output]);
    return true;
  }
}

// The state in the address of the page: changed numbers, what is open, selected and stepped to.
class Address {
  constructor(explorer) {
    this.explorer = explorer;
    this.opened = String([...explorer.arrangement.open]);
    this.waiting = null;
  }

  read() {
    if (!this.explorer.data.wholePage || location.hash.length < 2) return;
    const { explorer } = this;
    const { graph, data, arrangement } = explorer;
    const state = new URLSearchParams(location.hash.slice(1));
    for (const [key, text] of state) {
      const i = key.startsWith(":") ? Number(key.slice(1)) : key.startsWith(".") ? data.nodes.findIndex((node) => node.name === key.slice(1)) : -1;
      const x = parseNumber(text);
      if (i in graph.data && graph.isLeaf(i) && x !== undefined) graph.data[i] = x;
    }
    graph.compute();
    explorer.descent.curve = [graph.data[graph.output]];
    this.hasFolds = state.has("open");
    if (this.hasFolds) {
      arrangement.open = new Set(state.get("open").split("-").filter(Boolean).map(Number).filter((g) => g in data.groups));
      arrangement.keepWithin();
      arrangement.arrange();
    }
    if (state.has("edges")) explorer.setEdges(state.get("edges") === "flow" ? "flow" : "local");
    if (Number(state.get("select")) in data.nodes && state.has("select")) explorer.select(Number(state.get("select")));
    if (state.has("step")) {
      explorer.setMode("step");
      explorer.stepping.go(Number(state.get("step")) || 0);
    }
  }

  write() {
    if (!this.explorer.data.wholePage || !this.explorer.ready) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.writeNow(), 200);
  }

  writeNow() {
    const { graph, data, arrangement, selected, mode, stepping, edgeMode } = this.explorer;
    const state = new URLSearchParams();
    for (const i of graph.leaves) {
      if (Object.is(graph.data[i], graph.recorded[i])) continue;
      const { name } = data.nodes[i];
      state.set(name === null ? `:${i}` : `.${name}`, repr(graph.data[i]));
    }
    const open = [...arrangement.open];
    if (String(open) !== this.opened) state.set("open", open.join("-"));
    if (selected !== null) state.set("select", selected);
    if (edgeMode !== "local") state.set("edges", edgeMode);
    if (mode === "step") state.set("step", stepping.now);
    try {
      history.replaceState(null, "", `#${state}`);
    } catch {
      // Some pages may not change their address; the explorer works all the same.
    }
  }
}

const explorer = new Explorer(host, data, functions, style, model);
window.explorer = explorer.interface;

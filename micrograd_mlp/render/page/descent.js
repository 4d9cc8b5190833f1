// Gradient descent on the parameters (§5): θ ← θ - η ∂ℓ/∂θ, with the curve of the output.

class Descent {
  constructor(explorer) {
    this.explorer = explorer;
    const { graph, data } = explorer;
    const leaves = data.nodes.map((node, i) => [node.kind, i]);
    this.parameters = leaves.filter(([kind]) => kind === "parameter").map(([, i]) => i);
    this.onInputs = !this.parameters.length;
    if (this.onInputs) this.parameters = leaves.filter(([kind]) => kind === "input").map(([, i]) => i);
    this.curve = [graph.data[graph.output]];
    this.eta = 0.1;
    this.running = false;
    this.build();
    this.draw = oncePerFrame(() => this.drawNow());
    this.size = [0, 0]; // of the plot; to ask for it while numbers change would lay the page out once more
    explorer.sizes.observe(this.plot);
  }

  build() {
    const { explorer } = this;
    const count = this.parameters.length;
    const moved = this.moved = this.onInputs ? `all ${count} inputs, as there are no parameters` : `${count} parameter${count === 1 ? "" : "s"}`;
    this.slider = element("input", { type: "range", min: -4, max: 1, step: 0.05, value: Math.log10(this.eta), "aria-label": "step size η" });
    this.slider.addEventListener("input", () => this.setEta(10 ** Number(this.slider.value)));
    this.etaShown = element("output", {});
    this.plot = element("canvas", { class: "curve", role: "img" });
    this.shown = element("span", { class: "quiet" });
    this.run = button("Run", "descend until stopped", () => this.toggle(), { class: "primary" });
    this.root = element("details", { class: "descent", open: true },
      element("summary", {}, "Descend ", element("span", { class: "quiet", title: `moves ${moved} (§5)` }, "θ ← θ − η ∂", explorer.notation.symbolElement(explorer.graph.output), "/∂θ")),
      element("label", { class: "eta" }, element("i", {}, "η"), this.slider, this.etaShown),
      element("div", { class: "buttons" }, button("1 step", "one step of gradient descent", () => this.steps(1)),
        button("10", "ten steps of gradient descent", () => this.steps(10)), this.run,
        button("Undo", "undo the last change (Ctrl+Z)", () => explorer.undo()),
        button("Reset", "all numbers as they were recorded", () => explorer.reset())),
      this.plot, this.shown);
    this.setEta(this.eta);
    if (!count) for (const control of this.root.querySelectorAll("button, input")) control.disabled = true;
  }

  setEta(eta) {
    this.eta = Number(eta.toPrecision(2));
    this.etaShown.textContent = number(this.eta, 2);
    this.slider.setAttribute("aria-valuetext", `η = ${number(this.eta, 2)}`);
  }

  steps(count, eta = this.eta) {
    this.explorer.history.mark();
    for (let k = 0; k < count; k++) this.step(eta);
    this.explorer.refresh();
    const { notation, graph } = this.explorer;
    this.explorer.say(`${count} step${count === 1 ? "" : "s"}: ${notation.name(graph.output)} = ${number(graph.data[graph.output])}`);
  }

  step(eta) {
    const { graph } = this.explorer;
    for (const i of this.parameters) graph.data[i] -= eta * graph.grad[i];
    graph.compute();
    this.curve.push(graph.data[graph.output]);
  }

  toggle() {
    this.running = !this.running;
    this.run.textContent = this.running ? "Stop" : "Run";
    if (!this.running) return;
    this.explorer.history.mark();
    const turn = () => {
      const { graph } = this.explorer;
      if (!this.running || !this.root.isConnected) return;
      if (!Number.isFinite(graph.data[graph.output])) {
        this.explorer.say("the output is no longer finite: a smaller η, then Undo");
        return this.toggle();
      }
      this.step(this.eta);
      this.explorer.refresh();
      requestAnimationFrame(turn);
    };
    turn();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.size = [this.plot.clientWidth, this.plot.clientHeight];
    [this.plot.width, this.plot.height] = this.size.map((length) => Math.round(length * ratio));
    this.drawn = null; // a canvas of a new size is empty
    this.drawNow();
  }

  drawNow() {
    const { explorer, curve } = this;
    const name = explorer.notation.name(explorer.graph.output);
    const steps = curve.length - 1;
    this.shown.textContent = `${name} = ${minus(number(explorer.graph.data[explorer.graph.output], 6))} after ${steps.toLocaleString("en")} step${steps === 1 ? "" : "s"} on ${this.moved}`;
    const key = [...this.size, explorer.colours.dark, steps, curve[0], curve.at(-1)].join();
    if (key !== this.drawn) this.drawCurve();
    this.drawn = key;
  }

  // A change of one number leaves the curve as it is.
  drawCurve() {
    const { explorer, plot, curve } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = this.size;
    if (!width) return;
    const context = plot.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const finite = curve.filter(Number.isFinite);
    const high = finite.reduce((x, y) => Math.max(x, y), -Infinity);
    const low = finite.reduce((x, y) => Math.min(x, y), high > 0 ? 0 : Infinity);
    const x = (k) => 4 + (curve.length > 1 ? (k / (curve.length - 1)) * (width - 8) : 0);
    const y = (value) => 6 + (1 - (value - low) / (high - low || 1)) * (height - 12);
    const { colours } = explorer;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.strokeRect(0.5, 0.5, width - 1, height - 1);
    context.beginPath();
    curve.forEach((value, k) => (Number.isFinite(value) ? context.lineTo(x(k), y(value)) : null));
    context.strokeStyle = colours.gradient;
    context.lineWidth = 2;
    context.stroke();
    const last = curve.at(-1);
    if (Number.isFinite(last)) {
      context.beginPath();
      context.arc(x(curve.length - 1), y(last), 3.5, 0, 2 * Math.PI);
      context.fillStyle = colours.gradient;
      context.fill();
    }
    const name = explorer.notation.name(explorer.graph.output);
    plot.setAttribute("aria-label", `curve of ${name}: ${number(curve[0])} at first, ${number(last)} after ${curve.length - 1} steps`);
  }
}

// The stepping mode: a bar below the graph that plays both passes, line by line.

class Stepping {
  constructor(explorer) {
    this.explorer = explorer;
    this.steps = new Steps(explorer.graph, explorer.notation);
    this.now = 0;
    this.timer = null;
    this.traveller = null;
    this.build();
  }

  build() {
    const { length } = this.steps;
    this.phase = element("span", { class: "phase" });
    this.arithmetic = element("div");
    this.total = element("div", { class: "total" });
    this.line = element("div", { class: "arithmetic", role: "status", "aria-live": "polite", "aria-atomic": "true" }, this.arithmetic, this.total);
    this.first = button("« Start", "to the start (Home)", () => this.go(0));
    this.back = button("‹ Back", "one step back (left arrow)", () => this.go(this.now - 1));
    this.play = button("Play", "play (space)", () => (this.timer === null ? this.start() : this.stop()), { class: "play primary" });
    this.next = button("Next ›", "one step on (right arrow)", () => this.go(this.now + 1));
    this.last = button("End »", "to the end (End)", () => this.go(length));
    this.slider = element("input", { type: "range", min: 0, max: length, step: 1, "aria-label": "step" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.speed = element("select", { "aria-label": "speed" });
    for (const times of [0.5, 1, 2, 4]) this.speed.append(element("option", { value: times }, `${times}×`));
    this.speed.value = "1";
    this.root = element("section", { class: "stepping-bar", "aria-label": "step by step" },
      element("div", { class: "step-head" }, this.phase), this.line,
      element("div", { class: "controls" }, this.first, this.back, this.play, this.next, this.last, this.slider, this.speed));
  }

  get active() {
    return this.explorer.mode === "step";
  }

  go(wanted) {
    const before = this.now;
    this.now = clamp(Math.round(wanted), 0, this.steps.length);
    if (this.now === before) return;
    if (this.now === this.steps.length) this.stop();
    this.state = null;
    this.explorer.refresh();
    if (this.now === 0) return;
    const step = this.steps.list[this.now - 1];
    this.follow(step);
    if (this.now === before + 1) this.travel(step);
  }

  update() {
    this.state = null;
    if (!this.active) return;
    const { length } = this.steps;
    const step = this.steps.list[this.now - 1];
    this.root.classList.remove("forward", "backward");
    if (step === undefined) {
      this.phase.textContent = `Step 0 of ${length}`;
      this.arithmetic.textContent = "First the forward pass, value by value, then the backward pass, edge by edge.";
      this.total.textContent = "Press Play, or step with the arrow keys. All gradients start from 0.";
    } else {
      this.root.classList.add(step.phase);
      this.phase.textContent = `${step.phase === "forward" ? "Forward" : "Backward"} pass, step ${this.now} of ${length}`;
      const [line, total = ""] = this.steps.lines(this.now - 1);
      this.arithmetic.textContent = line;
      this.total.textContent = total;
    }
    this.slider.value = this.now;
    this.slider.setAttribute("aria-valuetext", `${this.phase.textContent}: ${this.arithmetic.textContent}`);
    this.first.disabled = this.back.disabled = this.now === 0;
    this.next.disabled = this.last.disabled = this.now === length;
  }

  // What the canvas shows: only what has been computed by now.
  drawingState() {
    this.state ??= this.steps.stateAfter(this.now);
    const { computed, grad, arrived, used } = this.state;
    const { graph, data } = this.explorer;
    const step = this.steps.list[this.now - 1];
    const isActive = ({ uses }) =>
      step !== undefined && uses.some(([child, operand]) =>
        step.phase === "forward" ? child === step.node : child === step.child && operand === step.operand);
    const marked = step && this.explorer.boxOf(step.node);
    return {
      step: this.now,
      look: (i) => ({ mark: step?.node === i ? "active" : null, faded: !computed[i] }),
      numbers: (i) => ({
        data: computed[i] ? minus(number(graph.data[i])) : "",
        grad: data.nodes[i].kind === "constant" || !arrived[i] ? null : minus(number(grad[i])),
      }),
      group: (g) => (marked === `g${g}` ? "active" : null),
      number: (i, what) => (what === "data" ? (computed[i] ? graph.data[i] : null) : arrived[i] ? grad[i] : null),
      edgeMark: (edge) => {
        if (isActive(edge)) return "active";
        if (step?.phase === "backward") return edge.uses.some(([child, k]) => used.has(`${child}-${k}`)) ? "plain" : "faint";
        return edge.uses.some(([child]) => computed[child]) ? "plain" : "waiting";
      },
    };
  }

  follow(step) {
    const { explorer } = this;
    explorer.view.show(explorer.arrangement.boxes.get(explorer.boxOf(step.node)));
  }

  // A dot runs along the edge: from a parent in the forward pass, to the parent in the backward pass.
  travel({ phase, node, child, operand }) {
    const { explorer } = this;
    this.traveller = null;
    if (explorer.still.matches) return;
    const of = phase === "forward" ? node : child;
    const edge = explorer.arrangement.edges.find(({ uses }) =>
      uses.some(([c, k]) => c === of && (phase === "forward" || k === operand)));
    if (!edge) return;
    const mine = (this.traveller = { edge, part: phase === "forward" ? 0 : 1 });
    const begun = performance.now();
    const frame = (time) => {
      if (this.traveller !== mine) return;
      const part = clamp((time - begun) / 350, 0, 1);
      mine.part = phase === "forward" ? part : 1 - part;
      if (part === 1) this.traveller = null;
      else requestAnimationFrame(frame);
      explorer.view.drawNow();
    };
    requestAnimationFrame(frame);
  }

  start() {
    if (this.now === this.steps.length) this.go(0);
    this.play.textContent = "Pause";
    this.play.setAttribute("aria-label", "pause (space)");
    this.line.setAttribute("aria-live", "off"); // at this speed nobody could listen
    const tick = () => {
      if (!this.root.isConnected) return this.stop(); // the output was cleared
      this.timer = setTimeout(tick, 1200 / Number(this.speed.value));
      this.go(this.now + 1);
    };
    tick();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.play.textContent = "Play";
    this.play.setAttribute("aria-label", "play (space)");
    this.line.setAttribute("aria-live", "polite");
  }

  toggle() {
    if (this.timer === null) this.start();
    else this.stop();
  }
}

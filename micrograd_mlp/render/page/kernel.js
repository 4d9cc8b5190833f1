// In a widget, Python's numbers: what the page changes goes to the kernel, and what Python changes comes back.
// The model's state holds the numbers of all leaves, then what Python computed for the operations that have no
// JavaScript. While a change of the page is under way, its leaves keep the page's numbers.

class Kernel {
  constructor(explorer, model) {
    this.explorer = explorer;
    this.model = model;
    this.view = Math.random().toString(36).slice(2);
    this.agreed = Float64Array.from(explorer.graph.data); // the leaves' numbers that Python has too
    this.sent = new Set(); // leaves whose change has not been answered
    this.listeners = { "change:numbers": () => this.receive(), "msg:custom": (message) => this.answered(message) };
    for (const [event, listener] of Object.entries(this.listeners)) model.on(event, listener);
    model.send({ kind: "open", view: this.view });
    this.receive();
  }

  // What the page has changed since it last agreed with Python; one message at a time, however fast one drags.
  send() {
    const { graph } = this.explorer;
    if (this.sent.size) return;
    const changed = graph.leaves.filter((i) => !Object.is(graph.data[i], this.agreed[i]));
    if (!changed.length) return;
    this.sent = new Set(changed);
    for (const i of changed) this.agreed[i] = graph.data[i];
    this.model.send({ kind: "set", view: this.view, nodes: changed }, undefined, [Float64Array.from(changed, (i) => graph.data[i]).buffer]);
  }

  answered({ view, problem }) {
    if (view !== this.view) return;
    this.sent.clear();
    this.explorer.kernelProblem(problem);
    this.receive();
    this.send();
  }

  receive() {
    const { explorer, agreed } = this;
    const { graph } = explorer;
    const numbers = this.model.get("numbers");
    let at = 0;
    const next = () => numbers.getFloat64(8 * at++, true);
    let moved = graph.foreign.length > 0;
    for (const i of graph.leaves) {
      const x = graph.answered[i] = next();
      if (this.sent.has(i) || !Object.is(graph.data[i], agreed[i])) continue;
      if (!Object.is(x, agreed[i]) && !moved) explorer.history.mark("kernel");
      moved ||= !Object.is(x, agreed[i]);
      graph.data[i] = agreed[i] = x;
    }
    for (const i of graph.foreign) {
      graph.answered[i] = next();
      graph.answeredLocals[i] = Float64Array.from(graph.parents[i], next);
    }
    if (!moved) return;
    graph.compute();
    explorer.refresh();
  }

  close() {
    for (const [event, listener] of Object.entries(this.listeners)) this.model.off(event, listener);
    this.model.send({ kind: "close", view: this.view });
  }
}

// The forward pass value by value, then the backward pass edge by edge, as `Value.backward` goes (§6).

const ARTICLES = { input: "an input", parameter: "a parameter", constant: "a constant" };

class Steps {
  constructor(graph, notation) {
    this.graph = graph;
    this.notation = notation;
    // What happens in each step; the numbers are read when a step is shown.
    this.list = graph.parents.map((_, node) => ({ phase: "forward", node }));
    this.list.push({ phase: "backward", node: graph.output });
    for (let child = graph.output; child >= 0; child--) {
      graph.parents[child].forEach((node, operand) => {
        if (!this.isConstant(node)) this.list.push({ phase: "backward", node, child, operand });
      });
    }
    this.arrivals = new Int32Array(graph.size);
    for (const step of this.list) if (step.phase === "backward") this.arrivals[step.node] += 1;
  }

  get length() {
    return this.list.length;
  }

  isConstant(node) {
    return this.notation.nodes[node].kind === "constant";
  }

  // After `count` steps: which nodes have their value, which gradients have arrived, and how much of them.
  stateAfter(count) {
    const { graph } = this;
    const computed = new Uint8Array(graph.size);
    const grad = new Float64Array(graph.size);
    const arrived = new Int32Array(graph.size);
    const used = new Set();
    for (const { phase, node, child, operand } of this.list.slice(0, count)) {
      if (phase === "forward") {
        computed[node] = 1;
        continue;
      }
      grad[node] += child === undefined ? 1 : graph.locals[child][operand] * graph.grad[child];
      arrived[node] += 1;
      if (child !== undefined) used.add(`${child}-${operand}`);
    }
    return { computed, grad, arrived, used };
  }

  // The line of arithmetic of a step, and how the gradient adds up.
  lines(k) {
    const { phase, node } = this.list[k];
    return phase === "forward" ? [this.forwardLine(node)] : this.backwardLines(k);
  }

  forwardLine(node) {
    const { graph, notation } = this;
    const name = notation.name(node);
    const { op, kind, label } = notation.nodes[node];
    const result = number(graph.data[node], 6);
    if (op === null) return `${kind === "constant" && !label ? name : `${name} = ${result}`}, ${ARTICLES[kind]}`;
    const apply = (terms) => notation.toText(notation.apply(notation.ops[op], terms).pieces);
    const terms = graph.parents[node].map((p) =>
      this.isConstant(p) && !notation.nodes[p].label ? notation.number(graph.data[p]) : notation.named(p));
    const inNumbers = graph.parents[node].map((p) => notation.number(graph.data[p]));
    const formulas = [...new Set([apply(terms), apply(inNumbers), result])]; // 2 · 3 is said once
    return [name, ...formulas].join(" = ");
  }

  backwardLines(k) {
    const { graph, notation } = this;
    const { node, child, operand } = this.list[k];
    const name = notation.name(node);
    if (child === undefined) return [`${name}.grad = ∂${name}/∂${name} = 1`];
    const [local, adjoint] = [graph.locals[child][operand], graph.grad[child]];
    const before = this.stateAfter(k).grad[node];
    const contribution = local * adjoint;
    const product = notation.toText(notation.product([notation.number(local), notation.number(adjoint)]));
    const sum = notation.toText(notation.sum([notation.number(before), notation.number(contribution)]));
    const of = notation.name(child);
    return [
      `${name}.grad += ∂${of}/∂${name} · ${of}.grad = ${product} = ${number(contribution, 6)}`,
      `${name}.grad = ${sum} = ${number(before + contribution, 6)}`,
    ];
  }
}

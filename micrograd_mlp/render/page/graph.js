// The graph that was recorded in Python, computed again here: the same operations in the same order (§6, §7).
// Nodes go by their position in topological order; `functions` are the table's own, turned into JavaScript.

class Graph {
  constructor(data, functions) {
    this.size = data.nodes.length;
    this.parents = data.nodes.map((node) => node.parents);
    this.isLeafNode = data.nodes.map((node) => node.op === null);
    this.leaves = [...data.nodes.keys()].filter((i) => this.isLeafNode[i]);
    this.ops = data.nodes.map((node) => (node.op === null ? null : functions[node.op]));
    this.children = data.nodes.map(() => []);
    this.parents.forEach((parents, i) => parents.forEach((p, operand) => this.children[p].push([i, operand])));
    this.recorded = Float64Array.from(data.nodes, (node) => node.data);
    // Operations that have no JavaScript, the leaves below each, and what Python computed for them last.
    this.foreign = [...data.nodes.keys()].filter((i) => this.ops[i] === null && !this.isLeaf(i));
    this.leavesBelow = new Map(this.foreign.map((i) => [i, this.leavesOf(i)]));
    this.answered = Float64Array.from(this.recorded);
    this.answeredLocals = data.nodes.map((node) => node.locals ?? null);
    this.data = Float64Array.from(this.recorded);
    this.locals = this.parents.map((parents) => new Float64Array(parents.length));
    this.grad = new Float64Array(this.size);
    this.output = this.size - 1;
    this.compute();
  }

  isLeaf(i) {
    return this.isLeafNode[i];
  }

  compute() {
    for (let i = 0; i < this.size; i++) if (!this.isLeaf(i)) this.computeNode(i);
    this.backward();
  }

  computeNode(i) {
    const { data, parents } = this;
    const own = parents[i];
    const op = this.ops[i];
    const inputs = new Array(own.length);
    for (let k = 0; k < own.length; k++) inputs[k] = data[own[k]];
    if (op === null) {
      // What Python computed holds for the numbers that the leaves had then.
      const known = this.leavesBelow.get(i).every((leaf) => Object.is(data[leaf], this.answered[leaf]));
      data[i] = known ? this.answered[i] : NaN;
      this.locals[i].set(known ? this.answeredLocals[i] : inputs.map(() => NaN));
      return;
    }
    data[i] = op.forward(...inputs);
    const partials = op.partials(data[i], ...inputs);
    for (let k = 0; k < own.length; k++) this.locals[i][k] = partials[k]; // for two numbers much faster than set()
  }

  backward() {
    const { grad, parents, locals } = this;
    grad.fill(0);
    grad[this.output] = 1;
    for (let i = this.size - 1; i >= 0; i--) {
      const adjoint = grad[i];
      const own = parents[i];
      const local = locals[i];
      for (let k = 0; k < own.length; k++) grad[own[k]] += local[k] * adjoint;
    }
  }

  // ∂(output)/∂(node) by differences: the node is moved by h to either side, and only what follows it computed.
  difference(i) {
    const later = this.descendants(i);
    const x = this.data[i];
    const h = Math.cbrt(Number.EPSILON) * Math.max(1, Math.abs(x));
    const kept = later.map((node) => this.data[node]);
    const at = (moved) => {
      this.data[i] = moved;
      for (const node of later) this.forwardOnly(node);
      return this.data[this.output];
    };
    const [above, below] = [at(x + h), at(x - h)];
    const slope = (above - below) / (x + h - (x - h));
    // What rounding alone can make of the difference, where the computation is some operations long.
    const rounding = (16 * Number.EPSILON * Math.max(Math.abs(above), Math.abs(below))) / h;
    this.data[i] = x;
    later.forEach((node, k) => (this.data[node] = kept[k]));
    return { slope, h, rounding };
  }

  forwardOnly(i) {
    const op = this.ops[i];
    this.data[i] = op === null ? NaN : op.forward(...this.parents[i].map((p) => this.data[p]));
  }

  leavesOf(i) {
    const below = new Set([i]);
    for (const node of below) for (const p of this.parents[node]) below.add(p);
    return [...below].filter((node) => this.isLeaf(node));
  }

  // Every node that is computed from this one, in topological order.
  descendants(i) {
    if (!this.descendantsOf) this.descendantsOf = new Map();
    if (!this.descendantsOf.has(i)) {
      const reached = new Uint8Array(this.size);
      reached[i] = 1;
      const found = [];
      for (let node = i + 1; node < this.size; node++) {
        if (!this.parents[node].some((p) => reached[p])) continue;
        reached[node] = 1;
        found.push(node);
      }
      this.descendantsOf.clear(); // one node at a time is looked at
      this.descendantsOf.set(i, found);
    }
    return this.descendantsOf.get(i);
  }
}

// ∂(output)/∂(node) written out path by path, as `explain` in Python writes it (§6): a sum over paths of
// products of local derivatives, the error signals δ, and what short names stand for.

const SHOWN_STEPS = 12; // of one path, half of them from each end
const SHOWN_SIGNAL_TERMS = 6; // of one δ
const SHOWN_OPERANDS = 4; // of an operation within a formula
const SHOWN_DEPTH = 3; // of operations within a formula
const PRE_ACTIVATION = /^z(\d+)(?:\[(\d+)\])?$/;

class Explanation {
  constructor(graph, notation, data, wrt, maxPaths = 10) {
    Object.assign(this, { graph, notation, data, wrt, output: graph.output });
    this.findStructure();
    this.paths = largestPaths(graph, wrt, this.structure, maxPaths);
    this.gradient = graph.descendants(wrt).length || wrt === this.output ? graph.grad[wrt] : 0;
    this.total = exactSum([...this.paths.listed.map((path) => path.contribution), this.paths.remainder]);
    this.steps = this.findSteps();
    this.named = this.findNamed();
    this.written = new Set();
    this.derivative = this.derivativePiece(this.output, wrt);
  }

  // What does not change with the numbers is kept for the node that was explained last.
  findStructure() {
    const { graph, wrt } = this;
    if (graph.explained?.wrt !== wrt) {
      this.structure = pathStructure(graph, wrt);
      this.findChildren();
      this.findHeads();
      this.countConnections();
      const { structure, children, heads, connections } = this;
      graph.explained = { wrt, structure, children, heads, connections };
    }
    Object.assign(this, graph.explained);
  }

  label(i) {
    return this.data.nodes[i].label;
  }

  // The explanation as Python prints it.

  toString() {
    const text = (pieces) => this.notation.toText(pieces);
    const lines = [`${text([this.derivative])} = ${this.shown(this.gradient)}, ${this.along()}`];
    this.pathRows().forEach(([first, ...rows], i) => {
      lines.push("", `${i + 1}. ${text(first)}`);
      for (const row of rows) lines.push(`${" ".repeat(String(i + 1).length)}  = ${text(row)}`);
    });
    if (this.unlisted) lines.push("", `${this.others()}: ${this.shown(this.paths.remainder)}`);
    const listed = (rows) => rows.map((row) => "  " + row.map(text).join(" = "));
    const signals = this.errorSignals();
    if (signals.length) lines.push("", "With the error signals δ (§6.2):", ...listed(signals));
    const definitions = this.definitions();
    if (definitions.length) lines.push("", "where", ...listed(definitions));
    lines.push("", `Sum over paths:   ${repr(this.total)}`);
    lines.push(`Backpropagation:  ${repr(this.gradient)}, ${this.agreement()}`);
    return lines.join("\n");
  }

  shown(x) {
    return number(x, 6);
  }

  get unlisted() {
    return this.paths.count - BigInt(this.paths.listed.length);
  }

  along() {
    if (this.paths.count === 0n) return "the output does not depend on it: there is no path";
    return `along ${counted(this.paths.count)}${this.paths.count > 1n ? ", the largest |contribution| first" : ""}`;
  }

  others() {
    return `and ${counted(this.unlisted, "more ")}, together`;
  }

  agreement() {
    if (this.total === this.gradient || (Number.isNaN(this.total) && Number.isNaN(this.gradient))) return "the same";
    const difference = Math.abs(this.total - this.gradient);
    if (!Number.isFinite(difference)) {
      return "which differs: products beyond the largest float, or of 0 and inf, depend on their order";
    }
    const size = difference.toExponential(1).replace(/e([-+])(\d)$/, "e$10$2");
    return `which differs by ${size}: the same products, rounded and added in another order`;
  }

  // Each listed path: as derivatives, in the paper's symbols, in numbers, and multiplied.

  pathRows() {
    const { notation } = this;
    return this.paths.listed.map((path, i) => {
      const steps = this.steps[i];
      let gap = [];
      let ends = [steps];
      if (steps.length > SHOWN_STEPS) {
        const half = SHOWN_STEPS / 2;
        gap = [notation.gap(steps.length - 2 * half)];
        ends = [steps.slice(0, half), steps.slice(-half)];
      }
      const edges = ends.map((end) => end.flatMap((step) => step.edges));
      const rows = [
        this.product(ends.map((end) => end.map((step) => this.stepTerm(step))), gap),
        this.product(edges.map((end) => end.map((edge) => this.factor(...edge))), gap),
        this.product(edges.map((end) => end.map((edge) => this.localGrad(...edge))), gap),
        [this.shown(path.contribution)],
      ];
      const texts = rows.map((row) => notation.toText(row));
      return rows.filter((_, k) => texts[k] !== texts[k + 1]);
    });
  }

  product([first, last = []], gap) {
    return this.notation.product(withoutOnes([...first, ...gap, ...last]));
  }

  // δ of each pre-activation on the listed paths, from the δ above it, then the derivative (§6.2).

  errorSignals() {
    const onPaths = new Set(this.paths.listed.flatMap((path) => path.nodes));
    const signals = [...this.children.keys()].reverse().filter((node) => onPaths.has(node) && this.isSignal(node));
    if (!signals.length) return [];
    const targets = signals.includes(this.wrt) ? signals : [...signals, this.wrt];
    return targets.map((node) => {
      const row = signals.includes(node) ? [this.delta(node).pieces] : [];
      row.push([this.derivativePiece(this.output, node)]);
      const terms = this.fromSignalsAbove(node, SHOWN_SIGNAL_TERMS + 1);
      if (terms.length <= SHOWN_SIGNAL_TERMS) row.push(terms.flatMap((term, i) => (i ? [" + ", ...term] : term)));
      row.push([this.shown(this.graph.grad[node])]);
      return row;
    });
  }

  isSignal(node) {
    return node !== this.output && PRE_ACTIVATION.test(this.label(node) ?? "");
  }

  delta(node) {
    return { pieces: [{ delta: node }], precedence: ATOM };
  }

  // The terms of ∂(output)/∂(node): each way up to a pre-activation, or to the output, as a product.
  fromSignalsAbove(node, limit) {
    const terms = [];
    const ways = [[node, null]];
    while (ways.length && terms.length < limit) {
      const [top, edges] = ways.pop();
      if (top === this.output || (top !== node && this.isSignal(top))) {
        const factors = top === this.output ? [] : [this.delta(top)];
        for (let rest = edges; rest !== null; rest = rest.before) factors.push(this.factor(...rest.edge));
        terms.push(this.notation.product(withoutOnes(factors)));
      } else {
        for (const edge of [...this.children.get(top)].reverse()) ways.push([edge[0], { edge, before: edges }]);
      }
    }
    return terms;
  }

  // What the short names stand for, of those that were written.

  definitions() {
    return [...this.written]
      .filter((node) => !this.label(node) && this.data.nodes[node].op !== null)
      .map((node) => ({ node, formula: this.operation(node, 0) }))
      .filter(({ formula }) => formula.number === undefined) // that would say nothing
      .map(({ node, formula }) => [[{ name: node }], formula.pieces, [this.shown(this.graph.data[node])]]);
  }

  // Which nodes go by a name, and which are part of a formula

  findChildren() {
    this.children = new Map([[this.wrt, []]]);
    for (const node of this.graph.descendants(this.wrt)) {
      this.children.set(node, []);
      this.graph.parents[node].forEach((parent, k) => this.children.get(parent)?.push([node, k]));
    }
  }

  // For each node the one whose formula it is part of: itself, if it has a name.
  findHeads() {
    this.heads = new Map();
    for (const [node, uses] of [...this.children].reverse()) {
      const inner = !this.label(node) && node !== this.output && node !== this.wrt;
      this.heads.set(node, inner && uses.length === 1 ? this.heads.get(uses[0][0]) : node);
    }
  }

  // How many ways lead from one named node straight to another.
  countConnections() {
    this.connections = new Map();
    for (const [node, uses] of this.children) {
      if (this.heads.get(node) !== node) continue;
      for (const [child] of uses) {
        const key = this.between(this.heads.get(child), node);
        this.connections.set(key, (this.connections.get(key) ?? 0) + 1);
      }
    }
  }

  between(start, end) {
    return start * this.graph.size + end;
  }

  // Each path from named node to named node, where that says unambiguously which way it goes.
  findSteps() {
    return this.paths.listed.map((path) => {
      const steps = [];
      let edges = [];
      path.operands.forEach((operand, i) => {
        edges.push([path.nodes[i], operand]);
        const end = path.nodes[i + 1];
        if (this.heads.get(end) !== end) return;
        const start = edges[0][0];
        if (this.connections.get(this.between(start, end)) === 1) steps.push({ start, end, edges });
        else steps.push(...edges.map((edge) => this.singleStep(...edge)));
        edges = [];
      });
      return steps;
    });
  }

  singleStep(node, operand) {
    const parent = this.graph.parents[node][operand];
    const twice = this.graph.parents[node].filter((other) => other === parent).length > 1;
    return { start: node, end: parent, edges: [[node, operand]], twice };
  }

  findNamed() {
    const named = new Set([this.output, this.wrt]);
    for (const step of this.steps.flat()) named.add(step.start).add(step.end);
    for (const [node, head] of this.heads) if (head === node) named.add(node);
    return named;
  }

  // Formulas

  named_(node) {
    this.written.add(node);
    return this.notation.named(node);
  }

  derivativePiece(of, by, operand) {
    this.written.add(of).add(by);
    return { derivative: [of, by], operand };
  }

  stepTerm(step) {
    const operand = step.twice ? step.edges[0][1] : undefined;
    return { pieces: [this.derivativePiece(step.start, step.end, operand)], precedence: ATOM };
  }

  localGrad(node, operand) {
    return this.notation.number(this.graph.locals[node][operand]);
  }

  // ∂(node)/∂(operand) in symbols: a number, a name, σ'(z), or the operation's rule written out.
  factor(node, operand) {
    const { op, partials } = this.data.nodes[node];
    const rule = this.data.partials[partials][operand];
    if (rule === null) return this.localGrad(node, operand);
    if (rule[0] === "prime") return this.notation.prime(this.data.ops[op], this.formula(this.graph.parents[node][0], 1));
    return this.ruleTerm(rule, node, 0);
  }

  // A rule is ["out"], ["operand", k], ["number", x] or ["op", which, ...rules].
  ruleTerm(rule, node, depth) {
    if (rule[0] === "out") return this.formula(node, depth);
    if (rule[0] === "operand") return this.formula(this.graph.parents[node][rule[1]], depth);
    if (rule[0] === "number" || depth === SHOWN_DEPTH) return this.notation.number(this.ruleValue(rule, node));
    const [, which, ...inner] = rule;
    return this.written_(this.data.ops[which], inner.map((part) => () => this.ruleTerm(part, node, depth + 1)), () =>
      this.ruleValue(rule, node));
  }

  ruleValue(rule, node) {
    const [what, which, ...inner] = rule;
    if (what === "out") return this.graph.data[node];
    if (what === "operand") return this.graph.data[this.graph.parents[node][which]];
    if (what === "number") return which;
    const op = this.data.functions[which];
    return op ? op.forward(...inner.map((part) => this.ruleValue(part, node))) : NaN;
  }

  // A name or a number; for a node that does not go by its name, its operation.
  formula(node, depth) {
    if (this.label(node) || (this.named.has(node) && !this.isPlainNumber(node))) return this.named_(node);
    if (this.data.nodes[node].op === null || depth === SHOWN_DEPTH) return this.notation.number(this.graph.data[node]);
    return this.operation(node, depth);
  }

  isPlainNumber(node) {
    return this.data.nodes[node].kind === "constant" && node !== this.wrt;
  }

  operation(node, depth) {
    const operands = this.graph.parents[node].map((parent) => () => this.formula(parent, depth + 1));
    return this.written_(this.data.ops[this.data.nodes[node].op], operands, () => this.graph.data[node]);
  }

  // The operation on its operands, or its value where that says more: with many operands, or numbers alone.
  written_(op, operands, value) {
    if (operands.length > SHOWN_OPERANDS) return this.notation.number(value());
    const written = operands.map((operand) => operand());
    if (written.every((operand) => operand.number !== undefined)) return this.notation.number(value());
    if (op.role === "pow" && written[1].number === 1) return written[0];
    return this.notation.apply(op, written);
  }
}

// As the paper writes (ŷ - y) for (ŷ - y) · 1.
const withoutOnes = (factors) => {
  const others = factors.filter((factor) => factor.number !== 1);
  return others.length ? others : factors.slice(0, 1);
};

// An exact number of paths; where it is too long to read, its size beside it.
const counted = (paths, more = "") => {
  if (paths < 10n ** 15n) {
    return `${paths.toString().replace(/\B(?=(\d{3})+$)/g, ",")} ${more}path${paths === 1n ? "" : "s"}`;
  }
  const digits = paths.toString();
  const size = `about 10^${(digits.length - 1 + Math.log10(Number(`${digits[0]}.${digits.slice(1, 16)}`))).toFixed(1)}`;
  if (digits.length > 4000) return `${size} ${more}paths`;
  return `${digits} (${size}) ${more}paths`;
};

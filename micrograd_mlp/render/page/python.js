// The graph with its present numbers, as a Python program.

const PYTHON_KEYWORDS = new Set(
  ("False None True and as assert async await break class continue def del elif else except finally for from global " +
    "if import in is lambda nonlocal not or pass raise return try while with yield " +
    "Value Parameter Constant dot total logsumexp inf nan").split(" "),
);

class PythonWriter {
  constructor(graph, notation) {
    this.graph = graph;
    this.notation = notation;
    this.names = [];
    this.taken = new Set(PYTHON_KEYWORDS);
    for (const op of notation.ops) if (op.function) this.taken.add(op.function);
    this.imports = new Set();
  }

  write() {
    const { graph, notation } = this;
    const lines = [];
    const unknown = new Set();
    for (let i = 0; i < graph.size; i++) {
      const { label, kind, op } = notation.nodes[i];
      if (op === null && kind === "constant" && !label) {
        this.names[i] = this.literal(graph.data[i]);
        continue;
      }
      this.names[i] = this.identifier(i);
      if (op === null) {
        const maker = { input: "Value", parameter: "Parameter", constant: "Constant" }[kind];
        this.imports.add(maker);
        const labelled = label ? `, ${JSON.stringify(label)}` : "";
        lines.push(`${this.names[i]} = ${maker}(${this.literal(graph.data[i])}${labelled})`);
        continue;
      }
      const record = notation.ops[op];
      if (!record.role) unknown.add(record.name);
      lines.push(`${this.names[i]} = ${this.expression(record, i)}`);
      if (label) lines.push(`${this.names[i]}.label = ${JSON.stringify(label)}`);
    }
    const output = this.names[graph.output];
    lines.push("", `${output}.backward()`, `print(${output})`);
    const own = [...unknown].map((name) => `# ${name} is an operation of your own: define it here`);
    if (lines.some((line) => /\b(inf|nan)\b/.test(line))) own.unshift("from math import inf, nan");
    return [`from micrograd_mlp import ${[...this.imports].sort().join(", ")}`, ...own, "", ...lines, ""].join("\n");
  }

  expression(op, i) {
    const operands = this.graph.parents[i].map((p) => this.names[p]);
    // Numbers alone would be computed at once; one operand that is a Value records the operation.
    if (operands.every((operand) => /^[-(\d]|^inf|^nan/.test(operand))) {
      this.imports.add("Value");
      operands[0] = `Value(${operands[0]})`;
    }
    const signs = { add: "+", sub: "-", mul: "*", div: "/", pow: "**" };
    const bracketed = operands.map((operand) => (operand.startsWith("-") ? `(${operand})` : operand));
    if (op.role in signs) return `${bracketed[0]} ${signs[op.role]} ${bracketed[1]}`;
    if (op.role === "neg") return `-${bracketed[0]}`;
    if (op.role === "abs") return `abs(${operands[0]})`;
    const name = op.function ?? op.name.replace(/\W/g, "_");
    if (op.role) this.imports.add(name);
    if (op.role === "dot") {
      const n = operands.length / 2;
      return `dot([${operands.slice(0, n).join(", ")}], [${operands.slice(n).join(", ")}])`;
    }
    return op.role && op.sequence ? `${name}([${operands.join(", ")}])` : `${name}(${operands.join(", ")})`;
  }

  identifier(i) {
    let name = this.notation.name(i).replace(/[^\p{L}\p{N}]+/gu, "_").replace(/_+$/, "");
    if (!/^[\p{L}_]/u.test(name)) name = `v_${name}`;
    let unique = name;
    for (let k = 2; this.taken.has(unique); k++) unique = `${name}_${k}`;
    this.taken.add(unique);
    return unique;
  }

  literal(x) {
    return repr(x);
  }
}

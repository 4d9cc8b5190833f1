// The loss of one point as the graph that the engine would record, in the form that the explorer reads. EXPLORER comes
// from Python: the explorer's program, and each operation with its rules.

class PointGraph {
  constructor(network, lossName, x, y) {
    this.nodes = [];
    this.groups = [];
    this.partials = [...EXPLORER.data.partials];
    this.unnamed = 0;
    const last = network.layers.length;
    let inputs = x.map((number, k) => this.leaf("input", "x", "", `${k + 1}`, number));
    network.layers.forEach((layer, l) => {
      const isOutput = l === last - 1;
      inputs = this.addLayer(network, layer, l + 1, inputs, isOutput ? null : network.activation);
    });
    this.addLoss(lossName, inputs, y);
  }

  // One neuron after the other: z_j = Σ W_jk a_k + b_j and a_j = σ(z_j).
  addLayer(network, { n, m, start }, number, inputs, activation) {
    const outer = { z: [], a: [], nodes: [], parameters: [] };
    const layer = m > 1 ? this.groups.push(outer) - 1 : null;
    const outputs = [];
    for (let j = 0; j < m; j++) {
      const first = start + j * (n + 1);
      const weights = inputs.map((_, k) => this.leaf("parameter", "W", number, [j + 1, k + 1], network.theta[first + k]));
      const bias = this.leaf("parameter", "b", number, `${j + 1}`, network.theta[first + n]);
      const [product] = EXPLORER.parts[`product of ${n}`];
      const sum = EXPLORER.parts["weighted sum"][1];
      const v = this.operation({ ...product, partials: this.rulesOfDot(n) }, [...weights, ...inputs]);
      const z = this.operation(sum, [v, bias], "z", number, `${j + 1}`);
      let a = z;
      if (activation && activation !== "linear") a = this.operation(EXPLORER.parts[activation][0], [z], "a", number, `${j + 1}`);
      const members = [a, z, bias, v, ...weights].filter((node, i, all) => all.indexOf(node) === i);
      this.group("neuron", number, j + 1, layer, members, [bias, ...weights], [z], a === z ? [] : [a], activation);
      outer.nodes.push(...members);
      outer.parameters.push(bias, ...weights);
      outer.z.push(z);
      if (a !== z) outer.a.push(a);
      outputs.push(a);
    }
    if (layer !== null) {
      const made = this.group("layer", number, null, null, outer.nodes, outer.parameters, outer.z, outer.a, activation);
      this.groups.splice(this.groups.indexOf(made), 1);
      this.groups[layer] = made;
    }
    return outputs;
  }

  // ∂(w · x)/∂w_k = x_k and ∂(w · x)/∂x_k = w_k; operands are w_1 … w_n, x_1 … x_n.
  rulesOfDot(n) {
    const rules = Array.from({ length: 2 * n }, (_, k) => ["operand", (k + n) % (2 * n)]);
    return this.partials.push(rules) - 1;
  }

  addLoss(name, outputs, y) {
    const key = name === "cross_entropy" ? `${name} ${outputs.length} ${y}` : name;
    const operations = EXPLORER.parts[key];
    let target = null;
    const made = [];
    operations.forEach((operation, i) => {
      const parents = operation.parents.map((parent) => {
        if (typeof parent === "number") return made[parent];
        if (typeof parent === "object") return this.constant(parent.constant);
        if (parent === "y") return (target ??= this.leaf("input", "y", "", "", y));
        return outputs[Number(parent.slice(1)) - 1];
      });
      const isLast = i === operations.length - 1;
      made.push(isLast ? this.operation(operation, parents, "ℓ", "", "") : this.operation(operation, parents));
    });
  }

  add(node) {
    return this.nodes.push({ label: node.name, op: null, parents: [], partials: null, ...node }) - 1;
  }

  // The name W1[2,1] and its parts, W with ⁽¹⁾ above and 21 below.
  named(letter, layer, index) {
    const inside = String(index);
    const below = inside.split(",").some((part) => part.length > 1) ? inside : inside.replaceAll(",", "");
    const above = layer === "" ? "" : `(${layer})`;
    return {
      name: `${letter}${layer}${inside ? `[${inside}]` : ""}`,
      symbol: { letter, superscript: above, subscript: below, occurrence: "" },
    };
  }

  leaf(kind, letter, layer, index, data) {
    return this.add({ kind, data, ...this.named(letter, layer, index) });
  }

  constant(data) {
    return this.add({ kind: "constant", data, name: null, symbol: null, label: null });
  }

  operation({ op, partials }, parents, letter, layer, index) {
    const name = letter ? this.named(letter, layer, index) : { ...this.named("v", "", ""), name: `v${++this.unnamed}`, label: null };
    if (!letter) name.symbol.subscript = `${this.unnamed}`;
    return this.add({ kind: "op", data: 0, op, parents, partials, ...name });
  }

  group(level, number, j, parent, nodes, parameters, z, a, activation) {
    const of = (letter) => `${letter}${number}${j === null ? "" : `[${j}]`}`;
    const sum = j === null ? `W${number} ${number === 1 ? "x" : `a${number - 1}`} + b${number}` : `Σ W${number}[${j},k] ${number === 1 ? "x" : `a${number - 1}`}[k] + b${number}[${j}]`;
    const formula = `${of("z")} = ${sum}${a.length ? `, ${of("a")} = ${activation}(${of("z")})` : ""}`;
    const quantity = (letter, what, nodes) => ({ ...this.named(letter, number, j ?? ""), what, nodes });
    const made = {
      level,
      title: j === null ? `layer ${number}` : `neuron ${j} of layer ${number}`,
      formula,
      parent,
      nodes,
      parameters,
      quantities: [quantity("z", "data", z), ...(a.length ? [quantity("a", "data", a)] : []), quantity("δ", "grad", z)],
    };
    this.groups.push(made);
    return made;
  }

  // The explorer of this graph as an HTML document.
  page() {
    const { palette, ops } = EXPLORER.data;
    const { nodes, groups, partials } = this;
    const data = { title: "ℓ", palette, nodes, partials, ops, groups, mode: "explore", wholePage: true };
    const text = JSON.stringify(data).replaceAll("<", "\\u003c");
    const style = JSON.stringify(EXPLORER.style).replaceAll("<", "\\u003c");
    const script = `(${EXPLORER.program})(document.getElementById("explorer"), ${text}, ${EXPLORER.functions}, ${style});`;
    // A function, since $ has a meaning in a text that replaces another.
    return EXPLORER.shell.replace("<!-- explorer -->", () => `<div id="explorer"></div><script>${script}</` + "script>");
  }
}

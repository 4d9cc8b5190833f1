// Beside the graph: everything about the node or group that is selected, and the controls for its number.

class Inspector {
  constructor(explorer) {
    this.explorer = explorer;
    this.root = element("section", { class: "inspector", "aria-label": "selected node", tabindex: "0" });
    this.shownFor = null;
    this.update = oncePerFrame(() => this.updateNow());
  }

  updateNow() {
    const { selected, selectedBox } = this.explorer;
    const key = selected !== null ? selected : selectedBox;
    if (this.shownFor !== key) {
      this.shownFor = key;
      if (selected !== null) this.buildNode(selected);
      else if (selectedBox !== null) this.buildGroup(Number(selectedBox.slice(1)));
      else this.root.replaceChildren(element("p", { class: "quiet" }, "Select a node to see its formula and its derivative."));
    }
    if (selected !== null) this.fillNode(selected);
    for (const row of this.rows ?? []) row.fill();
  }

  // A node

  buildNode(i) {
    const { explorer } = this;
    const { notation, data } = explorer;
    const { kind, op } = notation.nodes[i];
    const what = op === null ? kind : data.ops[op].name;
    this.rows = [];
    this.parts = {
      formula: element("div", { class: "formula equation" }),
      derivative: element("div", { class: "derivative" }),
      difference: element("div", { class: "difference" }),
      explanation: element("div", { class: "explanation" }),
    };
    const group = explorer.arrangement.innermost[i];
    const header = element("header", {}, element("h3", {}, notation.symbolElement(i)), element("span", { class: `badge ${kind}` }, what));
    if (group !== null) {
      header.append(button(data.groups[group].title, `select ${data.groups[group].title}`, () => explorer.selectGroup(group), { class: "link" }));
    }
    this.root.replaceChildren(header);
    if (op === null) this.root.append(this.numberControl(i));
    this.root.append(this.parts.formula);
    if (op !== null && data.ops[op].problem) this.root.append(element("p", { class: "warning" }, `The page can't compute this operation: ${data.ops[op].problem}`));
    if (i !== explorer.graph.output) {
      this.root.append(element("div", { class: "slopes" }, this.parts.derivative, this.parts.difference), this.parts.explanation);
    }
    this.root.append(this.neighbours("computed from", explorer.graph.parents[i]),
      this.neighbours("used by", explorer.graph.children[i].map(([child]) => child)));
  }

  fillNode(i) {
    const { graph, notation } = this.explorer;
    const { op } = notation.nodes[i];
    const { formula, derivative, difference, explanation } = this.parts;
    const value = number(graph.data[i], 6);
    if (op !== null) {
      const terms = graph.parents[i].map((p) =>
        notation.nodes[p].name === null ? notation.number(graph.data[p]) : notation.named(p));
      const written = [notation.apply(notation.ops[op], terms).pieces,
        notation.apply(notation.ops[op], graph.parents[i].map((p) => notation.number(graph.data[p]))).pieces, [value]];
      const rows = written.filter((row, k) => notation.toText(row) !== notation.toText(written[k + 1] ?? []));
      this.showRows(formula, [{ name: i }], rows);
    }
    if (i === graph.output) return;
    const told = new Explanation(graph, notation, this.explorer.data, i, 4);
    const gradient = minus(number(told.gradient, 6));
    const along = told.paths.count ? `along ${counted(told.paths.count)}` : "no path leads from it";
    showItems(derivative, [
      ["label", () => element("span", { class: "label" }, "by the chain rule")],
      [gradient, () => element("div", { class: "math" }, ...notation.toElements([told.derivative]), " = ", element("b", {}, gradient))],
      [along, () => element("span", { class: "label" }, along)],
    ]);
    this.fillDifference(difference, i, told.gradient);
    this.fillExplanation(explanation, told);
  }

  fillDifference(part, i, gradient) {
    const { slope, h, rounding } = this.explorer.graph.difference(i);
    const digits = digitsInCommon(slope, gradient);
    const agrees = digits >= 5 || Math.abs(slope - gradient) <= rounding;
    const verdict = digits >= 5 ? `agrees to ${digits} digits` : agrees ? "agrees, up to rounding"
      : Number.isFinite(slope) && Number.isFinite(gradient) ? "differs: is here a kink?" : "not a finite number";
    const title = `(f(x + h) − f(x − h)) / 2h with h = ${repr(h)}`;
    const shown = minus(number(slope, 6));
    showItems(part, [
      [title, () => element("span", { class: "label", title }, "by a difference")],
      [shown, () => element("div", { class: "math" }, element("b", {}, shown))],
      [verdict, () => element("span", { class: agrees ? "agrees" : "differs" }, verdict)],
    ]);
  }

  fillExplanation(part, told) {
    const blocks = [];
    const heading = (text, share = "") =>
      blocks.push([`${text} ${share}`, () => element("h4", {}, `${text} `, share && element("span", { class: "share" }, share))]);
    const equation = (left, rows) => blocks.push(["equation", () => element("div", { class: "equation" }), left, rows]);
    const several = told.paths.count > 1n;
    told.pathRows().forEach((rows, i) => {
      heading(several ? `Path ${i + 1}` : "The one path", several ? minus(number(told.paths.listed[i].contribution)) : "");
      equation(null, rows);
    });
    if (told.unlisted) {
      const others = `${told.others()}: ${minus(told.shown(told.paths.remainder))}`;
      blocks.push([others, () => element("p", { class: "quiet" }, others)]);
    }
    const signals = told.errorSignals();
    if (signals.length) heading("With the error signals δ (§6.2)");
    for (const [first, ...others] of signals) equation(first, others);
    const definitions = told.definitions();
    if (definitions.length) heading("where");
    for (const [first, ...others] of definitions) equation(first, others);
    showItems(part, blocks);
    blocks.forEach(([, , left, rows], i) => rows && this.showRows(part.children[i], left, rows));
  }

  // left = row = row …, one row below the other.
  showRows(equation, left, rows) {
    const { notation } = this.explorer;
    showItems(equation, rows.map((row, i) => {
      const start = i === 0 && left ? left : [];
      const equals = i === 0 && !left ? "" : " = ";
      return [notation.toText(start) + equals + notation.toText(row), () => element("div", { class: "row" }, ...notation.toElements(start),
        element("span", { class: "equals" }, equals), ...notation.toElements(row))];
    }));
  }

  neighbours(title, nodes) {
    const { explorer } = this;
    const different = [...new Set(nodes)];
    if (!different.length) return "";
    const list = element("div", { class: "chips" });
    for (const node of different.slice(0, 24)) {
      const name = explorer.notation.name(node);
      list.append(element("button", { type: "button", class: "chip", "aria-label": `select ${name}`, onclick: () => explorer.select(node, true) },
        explorer.notation.symbolElement(node)));
    }
    if (different.length > 24) list.append(element("span", { class: "quiet" }, `and ${different.length - 24} more`));
    return element("div", { class: "neighbours" }, element("h4", {}, title), list);
  }

  // Numbers that can be changed

  numberControl(i) {
    const { explorer } = this;
    const name = explorer.notation.name(i);
    const slider = element("input", { type: "range", step: "any", "aria-label": `${name}, slider` });
    const field = this.numberField(i);
    const reset = button("↺", `${name} back to ${number(explorer.graph.recorded[i])}`, () => explorer.change(i, explorer.graph.recorded[i]), { class: "reset" });
    let reach = 0;
    slider.addEventListener("pointerdown", () => explorer.history.mark());
    slider.addEventListener("input", () => explorer.change(i, Number(slider.value), { mark: false }));
    slider.addEventListener("keydown", (event) => {
      const direction = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!direction) return;
      event.preventDefault();
      explorer.nudge(i, direction * (event.shiftKey ? 10 : 1));
    });
    this.rows.push({
      fill: () => {
        const x = explorer.graph.data[i];
        const needed = Number.isFinite(x) ? Math.max(2, 2 ** Math.ceil(Math.log2(Math.abs(x) * 1.25 || 1))) : 2;
        if (needed > reach || !slider.matches(":active")) {
          reach = needed;
          slider.min = -reach;
          slider.max = reach;
        }
        slider.value = x;
        slider.setAttribute("aria-valuetext", number(x, 6));
        reset.disabled = Object.is(x, explorer.graph.recorded[i]);
      },
    });
    return element("div", { class: "control" }, slider, field, reset);
  }

  // A number as text: type it and press Enter, or use the arrow keys.
  numberField(i) {
    const { explorer } = this;
    const field = element("input", { class: "number", inputmode: "decimal", spellcheck: "false", autocomplete: "off", "aria-label": `${explorer.notation.name(i)}, number` });
    const take = () => {
      const x = parseNumber(field.value);
      field.classList.toggle("wrong", x === undefined);
      field.setAttribute("aria-invalid", x === undefined);
      if (x === undefined) explorer.say(`${field.value} is not a number`);
      else if (!Object.is(x, explorer.graph.data[i])) explorer.change(i, x);
    };
    field.addEventListener("change", take);
    field.addEventListener("keydown", (event) => {
      const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (event.key === "Enter") take();
      if (event.key === "Escape") explorer.canvas.focus();
      if (!direction) return;
      event.preventDefault();
      explorer.nudge(i, direction * (event.shiftKey ? 10 : 1));
      field.value = number(explorer.graph.data[i], 6);
    });
    this.rows.push({
      fill: () => {
        if (explorer.root.activeElement === field && field.value !== "" && parseNumber(field.value) === explorer.graph.data[i]) return;
        if (explorer.root.activeElement === field && field.classList.contains("wrong")) return;
        field.value = number(explorer.graph.data[i], 6);
        field.title = repr(explorer.graph.data[i]);
        field.classList.remove("wrong");
      },
    });
    return field;
  }

  // A neuron or a layer

  buildGroup(g) {
    const { explorer } = this;
    const { data, notation, graph } = explorer;
    const group = data.groups[g];
    this.rows = [];
    const isOpen = explorer.arrangement.open.has(g);
    this.root.replaceChildren(
      element("header", {}, element("h3", {}, group.title), element("span", { class: "badge group" }, `${group.nodes.length} nodes`),
        button(isOpen ? "Fold" : "Unfold", `${isOpen ? "fold" : "unfold"} ${group.title} (Enter)`, () => explorer.toggle(g))),
      element("p", { class: "formula" }, group.formula));
    const table = element("table", {}, element("caption", {}, "pre-activation, activation, error signal"));
    for (const { symbol, what, nodes } of group.quantities) {
      const cell = element("td", { class: what });
      const letter = element("span", { class: "symbol" }, element("i", {}, symbol.letter),
        element("span", { class: "scripts" }, element("span", {}, symbol.superscript), element("span", {}, symbol.subscript)));
      table.append(element("tr", {}, element("th", { scope: "row" }, letter), cell));
      this.rows.push({
        fill: () => {
          const values = nodes.map((node) => minus(number(graph[what][node])));
          cell.textContent = values.slice(0, 16).join("  ") + (values.length > 16 ? ` … (${values.length})` : "");
        },
      });
    }
    if (group.quantities.length) this.root.append(table);
    const parameters = group.parameters.slice(0, 60);
    if (!parameters.length) return;
    const list = element("table", { class: "parameters" }, element("caption", {}, "parameters and their gradients"));
    for (const node of parameters) {
      const gradient = element("td", { class: "grad" });
      const name = element("button", { type: "button", class: "chip", "aria-label": `select ${notation.name(node)}`, onclick: () => explorer.select(node) }, notation.symbolElement(node));
      list.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, this.numberField(node)), gradient));
      this.rows.push({ fill: () => (gradient.textContent = `∂ ${minus(number(graph.grad[node]))}`) });
    }
    this.root.append(list);
    if (group.parameters.length > 60) this.root.append(element("p", { class: "quiet" }, `and ${group.parameters.length - 60} more`));
  }
}


// To how many significant digits two numbers agree, at most 15.
const digitsInCommon = (x, y) => {
  if (Object.is(x, y) || x === y) return 15;
  const error = Math.abs(x - y) / Math.max(Math.abs(x), Math.abs(y));
  return Number.isFinite(error) ? clamp(Math.floor(-Math.log10(error)), 0, 15) : 0;
};

// Exercises to fill in. Numbers are read as answers.py reads them, mistakes are replayed as checks/mistakes.py
// replays them, and what is said is what GradientExercise.check says, so that both can be read side by side.

// Numbers as a reader writes them

const EXACT = 1e-9, WIDEST = 0.02;
const DECIMAL = /^[+-]?(\d+\.?(\d*)|\.(\d+))(e([+-]?\d+))?$/;

// A number and one unit of its last digit, or null.
const read = (text) => {
  text = text.trim().replace("\u2212", "-").toLowerCase();
  const slash = text.indexOf("/");
  if (slash >= 0) {
    const above = read(text.slice(0, slash)), below = read(text.slice(slash + 1));
    return above && below && below.number ? { number: above.number / below.number, unit: 0 } : null;
  }
  const match = DECIMAL.exec(text);
  if (!match || !isFinite(Number(text))) return null;
  return { number: Number(text), unit: 10 ** (Number(match[5] || 0) - (match[2] || match[3] || "").length) };
};

const isExactly = (written, expected, scale) =>
  Math.abs(written.number - expected) <= Math.max(EXACT * Math.abs(expected), 1e-15 * scale);

const fits = (written, expected, scale) =>
  Math.abs(written.number - expected) <= Math.min(written.unit * 1.0001, WIDEST * Math.abs(expected)) ||
  isExactly(written, expected, scale);

const isNear = (written, expected) =>
  Math.abs(written.number - expected) <= Math.max(0.5 * written.unit, WIDEST * Math.abs(expected));

// One exercise. What was filled in is a Map from positions of nodes to numbers as they were written.

class Exercise {
  constructor(sheet) {
    Object.assign(this, sheet);
    this.mistakes = sheet.mistakes.map(([when, everywhere, changes, gradients]) => ({
      when, everywhere, gradients,
      changes: new Map(changes.map(([edge, local, withGradient]) => [edge, { local, withGradient }])),
    }));
    this.outOf = this.names.map(() => []);
    this.into = this.names.map(() => []);
    this.edges = sheet.edges.map(([child, parent, local], e) => {
      this.outOf[child].push(e);
      this.into[parent].push(e);
      return { child, parent, local };
    });
    this.right = this.gradients();
    this.scale = Math.max(...this.right.map(Math.abs));
    this.outcomes = this.mistakes.map((m) => m.gradients || this.gradients(m.changes));
  }

  // The backward pass: with a mistake, and with numbers that take the place of those that arrive.
  gradients(changes = new Map(), given = new Map()) {
    const found = this.names.map(() => 0);
    found[found.length - 1] = 1;
    for (let child = found.length - 1; child >= 0; child--) {
      if (given.has(child)) found[child] = given.get(child);
      for (const e of this.outOf[child]) {
        const { local, withGradient } = changes.get(e) || { local: this.edges[e].local, withGradient: true };
        found[this.edges[e].parent] += local * (withGradient ? found[child] : 1);
      }
    }
    return found;
  }

  // The gradient of a node that follows from the reader's numbers for the other nodes.
  follows(i, given, changes) {
    const others = new Map([...given].filter(([j]) => j !== i).map(([j, written]) => [j, written.number]));
    return this.gradients(changes, others)[i];
  }

  isRight(i, given) {
    const written = given.get(i), right = this.right[i];
    if (fits(written, right, this.scale)) return true;
    const isClose = Math.abs(written.number - right) <= WIDEST * Math.abs(right);
    return isClose && fits(written, this.follows(i, given), this.scale);
  }

  // What is said about the numbers: for each node whether it is right, a remark, and the mistakes that give all.
  check(given) {
    const positions = [...given.keys()].sort((a, b) => b - a);
    const wrong = positions.filter((i) => !this.isRight(i, given));
    const whole = this.fit(given, this.right) ? [] : this.gives(given);
    const remarks = new Map();
    if (!wrong.length && !whole.length)
      for (const i of this.couldBeAMistake(given))
        remarks.set(i, "It is right, but with so few digits a mistake gives it too: write more.");
    if (!whole.length) for (const i of wrong) remarks.set(i, this.remark(i, given));
    const right = positions.filter((i) => !wrong.includes(i) && !remarks.has(i));
    return { right, wrong, remarks, whole };
  }

  couldBeAMistake(given) {
    const all = [...given];
    if (all.every(([i, written]) => isExactly(written, this.right[i], this.scale))) return [];
    const possible = this.outcomes.filter((found) => this.fit(given, found));
    return all.map(([i]) => i).filter((i) => possible.some((found) => {
      const [a, b] = [found[i], this.right[i]], least = 1e-15 * Math.max(1, Math.abs(b));
      return Math.abs(a - b) > Math.max(1e-9 * Math.max(Math.abs(a), Math.abs(b)), least);
    }));
  }

  fit(given, gradients) {
    return [...given].every(([i, written]) => fits(written, gradients[i], this.scale));
  }

  gives(given) {
    const found = this.mistakes.map((m, k) => [m.when, this.outcomes[k]]).filter(([, g]) => this.fit(given, g));
    const exact = found.filter(([, gradients]) =>
      [...given].every(([i, written]) => isExactly(written, gradients[i], this.scale)));
    return [...new Set((exact.length ? exact : found).map(([when]) => when))];
  }

  remark(i, given) {
    const written = given.get(i);
    if (fits(written, this.follows(i, given), this.scale))
      return "It follows from your numbers above it: this step is right.";
    const made = this.mistakes.filter((m) =>
      m.changes.size && !m.everywhere && fits(written, this.follows(i, given, m.changes), this.scale));
    if (made.length) return youGet("this", made.map((m) => m.when));
    return isNear(written, this.right[i]) ? TOO_FEW : this.lookFirst(i, given);
  }

  lookFirst(i, given) {
    const name = this.names[i];
    if (!this.into[i].length) return `Backpropagation starts here: ∂${name}/∂${name} is 1.`;
    const found = this.gradients(undefined, new Map([...given].map(([j, written]) => [j, written.number])));
    const edges = this.into[i].map((e) => this.edges[e]);
    const size = (edge) => Math.abs(edge.local * found[edge.child]);
    const largest = edges.reduce((best, edge) => (size(edge) > size(best) ? edge : best));
    let text = `No known mistake gives this. Look first at ∂${this.names[largest.child]}/∂${name}`;
    if (edges.length > 1) text += `, in the largest of its ${edges.length} contributions`;
    const follows = this.follows(i, given), factor = follows ? given.get(i).number / follows : 0;
    const isWhole = (x) => Math.round(x) <= 100 && Math.abs(x - Math.round(x)) <= 1e-6 * Math.max(x, Math.round(x));
    if (factor && [factor, 1 / factor].some((x) => isWhole(Math.abs(x))))
      text += `: your number is ${Number(factor.toPrecision(4))} times what follows from the numbers above it`;
    return `${text}.`;
  }
}

const TOO_FEW = "It may be right, but that takes more digits to say.";
const youGet = (what, when) => `You get ${what} when ${[...new Set(when)].join("; or when ")}.`;

// The page

class ExercisePage {
  constructor(host, sheets, style) {
    this.sheets = sheets;
    this.pictures = [...host.querySelectorAll("img, pre")]; // one for each exercise
    this.root = host.attachShadow({ mode: "open" });
    this.card = element("section", { class: "card" });
    this.root.append(element("style", {}, style), this.card);
    this.followTheme();
    this.show(0);
  }

  // JupyterLab says which theme it has; any other page follows the system.
  followTheme() {
    const darkness = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => {
      const lab = document.body.dataset.jpThemeLight;
      this.card.classList.toggle("dark", lab === undefined ? darkness.matches : lab === "false");
    };
    follow();
    darkness.addEventListener("change", follow);
    new MutationObserver(follow).observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  }

  show(k) {
    this.position = k;
    this.exercise = new Exercise(this.sheets[k]);
    this.hintsGiven = 0;
    const { task, asked } = this.exercise;
    this.summary = element("p", { class: "summary", role: "status" });
    this.help = element("ol", { class: "hints" });
    this.solution = element("pre", { hidden: true });
    this.rows = asked.map((row) => this.row(row));
    const table = element("table", {},
      element("thead", {}, element("tr", {}, ...["node", "is", "value", "gradient", ""].map(
        (title) => element("th", { scope: "col" }, title)))),
      element("tbody", {}, ...this.rows.map((row) => row.line)));
    const bar = element("div", { class: "bar" },
      button("Check", "Check the gradients (Enter in a field)", () => this.check(), { class: "primary" }),
      button("Hint", "The next hint", () => this.hint()),
      button("Solution", "Show or hide the solution", () => { this.solution.hidden = !this.solution.hidden; }));
    if (this.sheets.length > 1)
      bar.append(element("span", { class: "grow" }),
        element("span", { class: "quiet" }, `Exercise ${k + 1} of ${this.sheets.length}`),
        button("Another", "Another exercise", () => {
          this.show((k + 1) % this.sheets.length);
          this.rows[0].field.focus();
        }));
    this.solution.textContent = this.exercise.solution;
    this.card.replaceChildren(element("p", { class: "task" }, task), element("div", { class: "picture" }, this.pictures[k]),
      table, bar, this.summary, this.help, this.solution);
  }

  row({ node, formula, value }) {
    const name = this.exercise.names[node];
    const remark = element("span", { class: "remark", id: `remark-${node}` });
    const mark = element("span", { class: "mark", role: "img" });
    const field = element("input", {
      type: "text", inputmode: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": `remark-${node}`,
      "aria-label": `Gradient of ${name}`, oninput: () => this.mark(row, "", ""),
      onkeydown: (event) => {
        event.stopPropagation(); // a notebook would take the keys as its own
        if (event.key === "Enter") this.checkAndGoOn(row);
      },
    });
    const row = { node, field, mark, remark };
    row.line = element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, formula),
      element("td", {}, value), element("td", {}, field, mark), element("td", {}, remark));
    return row;
  }

  mark(row, state, remark) {
    row.line.className = state;
    row.mark.textContent = { right: "✓", wrong: "✗", unclear: "?" }[state] || "";
    row.mark.setAttribute("aria-label", state);
    row.field.setAttribute("aria-invalid", state === "wrong");
    row.remark.textContent = remark;
  }

  check() {
    const given = new Map(), unreadable = [];
    for (const row of this.rows) {
      const text = row.field.value.trim(), written = read(text);
      if (written) given.set(row.node, written);
      else if (text) unreadable.push(row);
    }
    const { right, wrong, remarks, whole } = this.exercise.check(given);
    for (const row of this.rows) {
      const remark = remarks.get(row.node) || "";
      const isWrong = wrong.includes(row.node) && remark !== TOO_FEW;
      if (given.has(row.node)) this.mark(row, right.includes(row.node) ? "right" : isWrong ? "wrong" : "unclear", remark);
      else if (unreadable.includes(row)) this.mark(row, "wrong", "This is not a number: write 0.25, -3, 1e-4 or 2/3.");
      else this.mark(row, "", "");
    }
    this.summary.textContent = this.verdict(given, right, whole);
  }

  verdict(given, right, whole) {
    const all = this.rows.length, several = all > 1;
    if (!given.size) return "not yet: write a number into a field.";
    if (right.length === all && !whole.length) return several ? `right: all ${all} gradients` : "right";
    const first = several ? `not yet: ${right.length} of ${all} gradients are right.` : "not yet.";
    return whole.length ? `${first} ${youGet(given.size > 1 ? "these numbers" : "this", whole)}` : first;
  }

  // Enter in a field: the next open one follows if this one is right.
  checkAndGoOn(row) {
    this.check();
    const next = this.rows.find((other) => !other.field.value.trim());
    if (row.line.className === "right" && next) next.field.focus();
  }

  hint() {
    const { hints } = this.exercise;
    if (this.hintsGiven < hints.length) this.help.append(element("li", {}, hints[this.hintsGiven++]));
    else this.summary.textContent = "That was the last hint: the solution shows the whole way.";
  }
}

new ExercisePage(host, sheets, style);

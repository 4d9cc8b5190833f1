// The page around playground_network.js. DATA is what Python wrote: data sets, choices, first settings and weights.

const find = (id) => document.getElementById(id);
const GRID = 64; // points of the plane, in each direction, at which the network is evaluated
const NODE = 44; // the size of a neuron in the diagram
const MAX_LAYERS = 6;
const MAX_NEURONS = 8;
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

const settings = structuredClone(DATA.settings);
let data; // X, y, isTest, kind, classes; train and test are lists of indices
let network, trainer, curvature, parameters;
let domain; // what the plane shows: low and high of x1 and x2
let history, playing, tool, selected, hovered, cross;
let grid, gradientNorms, losses, colours;

// The elements of the page

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function number(x, digits = 4) {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  const text = size && (size < 1e-3 || size >= 1e6) ? x.toExponential(digits - 1) : String(Number(x.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

function announce(text) {
  find("live").textContent = text;
}

// Data

function useData(name) {
  const { X, y, classes } = DATA.datasets[name];
  data = { X: X.map((x) => [...x]), y: [...y], classes, isTest: [] };
  split();
  domain = domainOf(data.X);
  cross = [0, 1].map((k) => (domain[k][0] + domain[k][1]) / 2);
  selected = null;
}

// The kind of target decides about the loss and the number of outputs.
function lossName() {
  if (!data.classes) return "squared_error";
  return data.classes.length === 2 ? "binary_cross_entropy_with_logits" : "cross_entropy";
}

function outputs() {
  return data.classes && data.classes.length > 2 ? data.classes.length : 1;
}

// Hold a share of the points out of training; the same points at every start.
function split() {
  const order = new Random(7).shuffle(data.X.map((_, e) => e));
  const n = Math.min(Math.round(settings.testShare * order.length), order.length - 1);
  data.isTest = data.X.map(() => false);
  for (const e of order.slice(0, n)) data.isTest[e] = true;
  listExamples();
}

function listExamples() {
  const all = data.X.map((_, e) => e);
  data.train = all.filter((e) => !data.isTest[e]);
  data.test = all.filter((e) => data.isTest[e]);
  if (trainer) trainer.order = [];
}

// A margin around the points, and equal scales where the two directions are of one size.
function domainOf(X) {
  const ranges = [0, 1].map((k) => {
    const numbers = X.map((x) => x[k]);
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    return { middle: (low + high) / 2, span: high - low || 1 };
  });
  const largest = Math.max(ranges[0].span, ranges[1].span);
  return ranges.map(({ middle, span }) => {
    const half = 0.58 * (largest < 3 * span ? largest : span);
    return [middle - half, middle + half];
  });
}

function parseCsv(text) {
  const X = [];
  const targets = [];
  text.split(/\r?\n/).forEach((line, i) => {
    if (!line.trim()) return;
    const cells = line.trim().split(/\s*[,;\t]\s*|\s+/);
    const [x1, x2] = cells.slice(0, 2).map((cell) => (cell === "" ? NaN : Number(cell)));
    if (X.length === 0 && i === 0 && Number.isNaN(x1)) return; // the names of the columns
    if (cells.length !== 3 || !Number.isFinite(x1) || !Number.isFinite(x2) || cells[2] === "") {
      throw new Error(`Line ${i + 1}: expected two numbers and a target, got “${line.trim().slice(0, 60)}”.`);
    }
    X.push([x1, x2]);
    targets.push(cells[2]);
  });
  if (X.length < 2) throw new Error("At least two points are needed.");
  if (X.length > 5000) throw new Error(`At most 5,000 points can be trained on here, got ${X.length}.`);
  const distinct = [...new Set(targets)].sort((a, b) => a - b || (a < b ? -1 : 1));
  const numbers = targets.map(Number);
  const areClasses = distinct.length <= DATA.maxClasses && (numbers.some(Number.isNaN) || numbers.every(Number.isInteger));
  if (areClasses && distinct.length > 1) return { X, y: targets.map((t) => distinct.indexOf(t)), classes: distinct };
  if (!numbers.every(Number.isFinite)) {
    throw new Error(`The targets are ${distinct.length} classes; there can be 2 to ${DATA.maxClasses}.`);
  }
  return { X, y: numbers, classes: null };
}

// The network and its training

function start() {
  const sizes = [2, ...settings.hidden, outputs()];
  network = new Network(sizes, settings.activation, lossName());
  network.initialize(settings.init, new Random(settings.seed));
  parameters = network.namedParameters();
  if (isFirstNetwork(sizes)) {
    for (const [name, value] of Object.entries(DATA.model.parameters)) network.theta[parameters[name]] = value;
  }
  trainer = new Trainer(network, data, settings, new Random(settings.seed));
  curvature = new Curvature(trainer);
  history = { steps: [], train: [], test: [], every: 1 };
  if (selected?.kind === "neuron" && !(selected.j < network.layers[selected.layer]?.m)) selected = null;
  hovered = null;
  buildDiagram();
  buildInspector();
  measure();
  refresh();
}

// Python drew the first weights of the network that the page opens with.
function isFirstNetwork(sizes) {
  const first = DATA.settings;
  const same = ["activation", "init", "seed"].every((name) => settings[name] === first[name]);
  return same && String(sizes) === String([2, ...DATA.model.model.layer_sizes]);
}

function measure() {
  losses = {
    train: network.meanLoss(data.X, data.y, data.train),
    test: data.test.length ? network.meanLoss(data.X, data.y, data.test) : null,
  };
  const { steps, train, test } = history;
  if (steps[steps.length - 1] === trainer.steps) return;
  if (trainer.steps % history.every !== 0 && steps.length > 1 && trainer.steps - steps[steps.length - 1] < history.every) return;
  steps.push(trainer.steps);
  train.push(losses.train);
  test.push(losses.test);
  if (steps.length > 1200) {
    for (const list of [steps, train, test]) list.splice(0, Infinity, ...list.filter((_, i) => i % 2 === 0));
    history.every *= 2;
  }
}

// Take steps until there are enough, or `enough()`. A gradient that is not finite ends the run.
function train(steps, enough = () => false) {
  trainer.batches = [];
  try {
    for (let k = 0; k < steps && !enough(); k++) {
      trainer.step();
      if ((k + 1) % 50 === 0) measure();
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    pause();
    announce(error.message);
    find("stability").dataset.error = error.message;
  }
  measure();
}

function play() {
  playing = true;
  delete find("stability").dataset.error;
  document.body.classList.add("playing");
  find("play-label").textContent = "Pause";
  announce("Training.");
  requestAnimationFrame(frame);
}

function pause() {
  if (!playing) return;
  playing = false;
  document.body.classList.remove("playing");
  find("play-label").textContent = "Play";
  announce(`Paused at ${summary()}.`);
  refresh();
}

function summary() {
  const test = losses.test === null ? "" : `, test loss ${number(losses.test, 3)}`;
  return `step ${trainer.steps.toLocaleString("en")}, training loss ${number(losses.train, 3)}${test}`;
}

let lastDrawn = 0;
let lastAnnounced = 0;

function frame(now) {
  if (!playing) return;
  const deadline = performance.now() + 11;
  train(settings.speed || Infinity, () => performance.now() > deadline);
  if (!playing) return;
  if (now - lastDrawn > (reducedMotion.matches ? 500 : 0)) {
    lastDrawn = now;
    curvature.refine(4);
    draw();
  }
  if (now - lastAnnounced > 10000) {
    if (lastAnnounced) announce(`At ${summary()}.`);
    lastAnnounced = now;
  }
  requestAnimationFrame(frame);
}

// After a change while nothing moves: λ may take its time.
function refresh() {
  curvature.refine(60);
  draw();
}

// Change settings, and rebuild what depends on them.
function change(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (!CHECKS[name]) throw new Error(`There is no setting ${name}; there are ${Object.keys(CHECKS).join(", ")}.`);
    if (!CHECKS[name](value)) throw new Error(`${name} can't be ${JSON.stringify(value)}.`);
  }
  const names = Object.keys(changes);
  const touches = (...some) => some.some((name) => names.includes(name));
  if (touches("hyperparameters")) {
    changes.hyperparameters = { ...settings.hyperparameters, ...changes.hyperparameters };
  }
  Object.assign(settings, changes);
  if (touches("dataset")) useData(settings.dataset);
  else if (touches("testShare")) split();
  if (touches("dataset", "hidden", "activation", "init", "seed")) start();
  else {
    trainer.configure(settings);
    measure();
    refresh();
  }
  showSettings();
  writeAddress();
}

const isCount = (low, high) => (x) => Number.isInteger(x) && x >= low && x <= high;
const oneOf = (choices) => (x) => choices.includes(x);
const CHECKS = {
  dataset: (x) => x in DATA.datasets,
  testShare: (x) => x >= 0 && x <= 0.6,
  hidden: (x) => Array.isArray(x) && x.length <= MAX_LAYERS && x.every(isCount(1, Math.max(MAX_NEURONS, ...DATA.settings.hidden))),
  activation: oneOf(Object.keys(ACTIVATIONS)),
  init: oneOf(["auto", ...Object.keys(INITIALIZERS)]),
  optimizer: oneOf(Object.keys(OPTIMIZERS)),
  hyperparameters: (x) => Object.entries(x).every(([name, value]) => name in DATA.settings.hyperparameters && allowed(name, value)),
  batchSize: (x) => x === null || isCount(1, 5000)(x),
  l2: (x) => Number.isFinite(x) && x >= 0,
  seed: isCount(0, 4294967295),
  speed: isCount(0, 1000),
};

// The ranges that the package's optimizers allow.
function allowed(name, value) {
  if (!Number.isFinite(value)) return false;
  if (name === "lr") return value >= 0;
  return name === "eps" ? value > 0 : value >= 0 && value < 1;
}

// The address holds the settings, so that it can be sent to someone.

function writeAddress() {
  const changed = Object.entries(settings).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(DATA.settings[name]) && value !== "own points",
  );
  const text = changed.map(([name, value]) => `${name}=${encodeURIComponent(JSON.stringify(value))}`).join("&");
  try {
    window.history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    // A page inside a notebook has no address of its own.
  }
}

function readAddress() {
  for (const part of location.hash.slice(1).split("&").filter(Boolean)) {
    const [name, text] = part.split("=");
    try {
      const value = JSON.parse(decodeURIComponent(text));
      if (CHECKS[name](value)) settings[name] = name === "hyperparameters" ? { ...settings[name], ...value } : value;
    } catch {
      announce(`The address has no valid ${name}; the page opens with its own.`);
    }
  }
}

// Pictures

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => {
    const hex = style.getPropertyValue(`--${name}`).trim();
    return { css: hex, rgb: [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)) };
  };
  const names = ["positive", "negative", "neutral", "ink", "quiet", "line", "card", "accent", "point-edge"];
  colours = Object.fromEntries(names.map((name) => [name, read(name)]));
  colours.classes = Array.from({ length: DATA.maxClasses }, (_, k) => read(`class-${k}`));
}

const mix = (a, b, share) => a.map((a_i, i) => a_i + (b[i] - a_i) * share);

// From -1 through 0 to 1: the negative colour, neutral, the positive colour.
function diverging(x, strength = 0.9) {
  const share = Math.min(1, Math.abs(x));
  return mix(colours.neutral.rgb, (x < 0 ? colours.negative : colours.positive).rgb, strength * share);
}

function pointColour(y) {
  if (data.classes) return colours.classes[y].css;
  return `rgb(${diverging(y / largestTarget()).map(Math.round)})`;
}

function largestTarget() {
  return Math.max(1e-12, ...data.y.map(Math.abs));
}

// The activation of every neuron over the plane, and z of the outputs; the first line is the top.
function evaluateGrid() {
  const size = GRID * GRID;
  grid = { layers: network.layers.map(({ m }) => Array.from({ length: m }, () => new Float32Array(size))) };
  const x = [0, 0];
  const [[left, right], [bottom, top]] = domain;
  for (let i = 0, row = 0; row < GRID; row++) {
    x[1] = top + ((bottom - top) * row) / (GRID - 1);
    for (let column = 0; column < GRID; column++, i++) {
      x[0] = left + ((right - left) * column) / (GRID - 1);
      network.forward(x);
      network.layers.forEach(({ a }, l) => {
        for (let j = 0; j < a.length; j++) grid.layers[l][j][i] = a[j];
      });
    }
  }
}

// What is shown over the plane: an input, a neuron, or the network's answer. Numbers from -1 to 1 are coloured from a
// palette; the classes' probabilities, when there are more than two, as a mixture of their colours.
function paint(canvas, shown, strength) {
  const image = new ImageData(GRID, GRID);
  const pixels = new Uint32Array(image.data.buffer);
  const isMixture = shown.kind === "answer" && data.classes?.length > 2;
  if (isMixture) paintClasses(pixels, strength);
  else {
    const share = shares(shown);
    const palette = paletteOf(strength);
    for (let i = 0; i < pixels.length; i++) pixels[i] = palette[Math.round(127.5 * (1 + Math.max(-1, Math.min(1, share(i)))))];
  }
  canvas.width = canvas.height = GRID;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// The number from -1 to 1 that stands for a point of the grid.
function shares(shown) {
  if (shown.kind === "input") {
    return shown.j === 0
      ? (i) => (2 * (i % GRID)) / (GRID - 1) - 1
      : (i) => 1 - (2 * Math.floor(i / GRID)) / (GRID - 1);
  }
  const values = grid.layers[shown.layer][shown.j];
  const isOutput = shown.layer === network.layers.length - 1;
  if (isOutput && data.classes?.length === 2) return (i) => 2 * ACTIVATIONS.sigmoid.value(values[i]) - 1;
  const scale = isOutput && !data.classes ? largestTarget() : largestSize(values);
  return (i) => values[i] / scale;
}

function paletteOf(strength) {
  colours.palettes ??= {};
  colours.palettes[strength] ??= Uint32Array.from({ length: 256 }, (_, i) => pixel(diverging(i / 127.5 - 1, strength)));
  return colours.palettes[strength];
}

function pixel([r, g, b]) {
  return ((255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
}

function paintClasses(pixels, strength) {
  const z = grid.layers[network.layers.length - 1];
  for (let i = 0; i < pixels.length; i++) {
    const total = logSumExp(z.map((z_k) => z_k[i]));
    const colour = [0, 0, 0];
    z.forEach((z_k, k) => {
      const p = Math.exp(z_k[i] - total);
      for (let c = 0; c < 3; c++) colour[c] += p * colours.classes[k].rgb[c];
    });
    pixels[i] = pixel(mix(colours.neutral.rgb, colour, strength));
  }
}

function largestSize(values) {
  let largest = 1e-12;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest;
}

// A canvas as sharp as the screen; what is drawn is measured in CSS pixels.
function prepare(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return { context, width, height };
}

const answer = () => ({ kind: "answer", layer: network.layers.length - 1, j: 0 });
const big = document.createElement("canvas");

function drawPlane() {
  const shown = hovered ?? (selected && selected.kind !== "point" ? selected : answer());
  paint(big, shown, 0.5);
  const { context, width, height } = prepare(find("plane"));
  context.imageSmoothingQuality = "high";
  const margin = [width / (GRID - 1) / 2, height / (GRID - 1) / 2]; // the centres of the outer pixels lie on the border
  context.drawImage(big, -margin[0], -margin[1], width + 2 * margin[0], height + 2 * margin[1]);
  drawBoundary(context, width, height);
  data.X.forEach((x, e) => drawPoint(context, place(x, width, height), data.y[e], data.isTest[e], isSelected(e)));
  if (document.activeElement === find("plane") && find("plane").matches(":focus-visible")) {
    const [x, y] = place(cross, width, height);
    context.strokeStyle = colours.ink.css;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x - 11, y);
    context.lineTo(x + 11, y);
    context.moveTo(x, y - 11);
    context.lineTo(x, y + 11);
    context.stroke();
  }
  find("shown").textContent = nameOf(shown);
  const [xs, ys] = domain.map((range) => range.map((limit) => number(limit, 3)));
  find("x-range").replaceChildren(make("span", { textContent: xs[0] }), make("span", { textContent: "x₁" }), make("span", { textContent: xs[1] }));
  find("y-range").replaceChildren(make("span", { textContent: ys[1] }), make("span", { textContent: "x₂" }), make("span", { textContent: ys[0] }));
}

function nameOf(shown) {
  if (shown.kind === "answer") {
    return data.classes ? "the probability of each class" : "the prediction";
  }
  if (shown.kind === "input") return `the input x[${shown.j + 1}]`;
  return `the activation a${shown.layer + 1}[${shown.j + 1}]`;
}

const isSelected = (e) => selected?.kind === "point" && selected.e === e;

function place([x1, x2], width, height) {
  const [[left, right], [bottom, top]] = domain;
  return [((x1 - left) / (right - left)) * width, ((top - x2) / (top - bottom)) * height];
}

function drawPoint(context, [x, y], target, isTest, isChosen) {
  context.beginPath();
  context.arc(x, y, isTest ? 3.6 : 4.2, 0, 2 * Math.PI);
  if (isTest) {
    context.fillStyle = colours.card.css;
    context.strokeStyle = pointColour(target);
    context.lineWidth = 2.4;
  } else {
    context.fillStyle = pointColour(target);
    context.strokeStyle = colours["point-edge"].css;
    context.lineWidth = 1.3;
  }
  context.fill();
  context.stroke();
  if (!isChosen) return;
  context.beginPath();
  context.arc(x, y, 9, 0, 2 * Math.PI);
  context.strokeStyle = colours.ink.css;
  context.lineWidth = 2.5;
  context.stroke();
}

// Where the answer changes from one class to another: z = 0 with two classes, equal largest outputs with more.
function drawBoundary(context, width, height) {
  if (!data.classes) return;
  const z = grid.layers[network.layers.length - 1];
  context.beginPath();
  if (z.length === 1) traceZero(context, (i) => z[0][i], width, height);
  else {
    z.forEach((z_k, k) => {
      const others = z.filter((_, other) => other !== k);
      traceZero(context, (i) => z_k[i] - Math.max(...others.map((z_other) => z_other[i])), width, height);
    });
  }
  context.strokeStyle = colours.ink.css;
  context.lineWidth = 1.8;
  context.stroke();
}

// Marching squares: a line through each cell of the grid in which the function changes its sign.
function traceZero(context, f, width, height) {
  const at = (column, row) => [(column * width) / (GRID - 1), (row * height) / (GRID - 1)];
  const values = Float32Array.from({ length: GRID * GRID }, (_, i) => f(i));
  for (let row = 0; row < GRID - 1; row++) {
    for (let column = 0; column < GRID - 1; column++) {
      const corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
      const heights = corners.map(([c, r]) => values[r * GRID + c]);
      const crossings = [];
      for (let k = 0; k < 4; k++) {
        const [from, to] = [heights[k], heights[(k + 1) % 4]];
        if (from < 0 === to < 0) continue;
        const [start, end] = [at(...corners[k]), at(...corners[(k + 1) % 4])];
        const share = from / (from - to);
        crossings.push([start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])]);
      }
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        context.moveTo(...crossings[k]);
        context.lineTo(...crossings[k + 1]);
      }
    }
  }
}

function drawCurve() {
  const { context, width, height } = prepare(find("curve"));
  const positive = [...history.train, ...history.test].filter((x) => x > 0 && Number.isFinite(x));
  const [low, high] = [Math.min(...positive, 0.1), Math.max(...positive, 1e-9)].map(Math.log10);
  const [bottom, top] = [Math.floor(low * 2) / 2, Math.ceil(high * 2 + 0.1) / 2];
  const last = Math.max(1, history.steps[history.steps.length - 1]);
  const left = 44;
  const x = (step) => left + (step / last) * (width - left - 6);
  const y = (loss) => 6 + ((top - Math.log10(Math.max(loss, 10 ** bottom))) / (top - bottom)) * (height - 24);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colours.quiet.css;
  context.strokeStyle = colours.line.css;
  context.lineWidth = 1;
  context.textAlign = "right";
  const ticks = [];
  for (let exponent = Math.floor(bottom); exponent <= top; exponent++) {
    for (const factor of top - bottom < 2 ? [1, 2, 5] : [1]) ticks.push(factor * 10 ** exponent);
  }
  for (const tick of ticks.filter((t) => Math.log10(t) >= bottom && Math.log10(t) <= top)) {
    context.beginPath();
    context.moveTo(left, y(tick));
    context.lineTo(width - 6, y(tick));
    context.stroke();
    context.fillText(number(tick, 3), left - 6, y(tick) + 4);
  }
  context.fillText(`${last.toLocaleString("en")} steps`, width - 6, height - 3);
  const line = (numbers, colour, dashes) => {
    context.beginPath();
    numbers.forEach((loss, i) => {
      if (Number.isFinite(loss) && loss !== null) context.lineTo(x(history.steps[i]), y(loss));
    });
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.setLineDash(dashes);
    context.stroke();
    context.setLineDash([]);
  };
  line(history.test, colours.quiet.css, [5, 4]);
  line(history.train, colours.ink.css, []);
  find("curve").setAttribute("aria-label", `Loss over the steps: ${summary()}`);
}

// The diagram of the network

let diagram; // buttons and edges, to be coloured at every frame

function buildDiagram() {
  const sizes = network.sizes;
  const largest = Math.max(...sizes);
  const pitch = Math.max(58, Math.min(72, 420 / largest));
  const top = 34;
  const height = top + Math.max(4, largest) * pitch + 4;
  const stage = make("div", { className: "stage" });
  stage.style.height = `${height}px`;
  stage.style.minWidth = `${Math.max(300, 76 * sizes.length)}px`;
  const svg = makeSvg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
  stage.append(svg);
  diagram = { stage, svg, neurons: [], edges: [], top, height, pitch };
  sizes.forEach((size, column) => {
    stage.append(columnHead(column, size));
    for (let j = 0; j < size; j++) addNeuron(column, j);
  });
  network.layers.forEach(({ n, m, start }, l) => {
    for (let j = 0; j < m; j++) {
      for (let k = 0; k < n; k++) {
        const path = makeSvg("path", { class: "edge" });
        path.append(makeSvg("title", {}));
        svg.append(path);
        diagram.edges.push({ path, l, j, k, index: start + j * (n + 1) + k });
      }
    }
  });
  svg.addEventListener("pointerover", (event) => {
    const edge = diagram.edges.find(({ path }) => path === event.target);
    if (edge) edge.path.firstChild.textContent = describeWeight(edge);
  });
  find("diagram").replaceChildren(stage);
  layOutDiagram();
  const hidden = settings.hidden.length;
  find("layer-count").textContent = `${hidden} hidden ${hidden === 1 ? "layer" : "layers"}`;
  find("fewer-layers").disabled = hidden === 0;
  find("more-layers").disabled = hidden === MAX_LAYERS;
}

function describeWeight({ l, j, k, index }) {
  const name = `W${l + 1}[${j + 1},${k + 1}]`;
  return `${name} = ${number(network.theta[index])}, ∂L/∂${name} = ${number(trainer.gradient[index], 3)}`;
}

function columnHead(column, size) {
  const head = make("div", { className: "column-head" });
  head.dataset.column = column;
  if (column === 0) head.append("inputs");
  else if (column === network.layers.length) head.append(size === 1 ? "output" : "outputs");
  else {
    const button = (text, by, label) => {
      const element = make("button", { className: "small", textContent: text });
      element.setAttribute("aria-label", `${label} layer ${column}`);
      element.dataset.key = `${label} ${column}`;
      element.disabled = size + by < 1 || size + by > MAX_NEURONS;
      element.addEventListener("click", () => {
        changeHidden(settings.hidden.map((n, l) => (l === column - 1 ? n + by : n)));
        diagram.stage.querySelector(`[data-key="${label} ${column}"]`)?.focus();
      });
      return element;
    };
    head.append(button("−", -1, "Remove a neuron from"), ` ${size} `, button("+", 1, "Add a neuron to"));
  }
  return head;
}

function addNeuron(column, j) {
  const isInput = column === 0;
  const what = isInput ? { kind: "input", j } : { kind: "neuron", layer: column - 1, j };
  const button = make("button", { className: "neuron" }, make("canvas"));
  button.style.width = button.style.height = `${NODE}px`;
  button.addEventListener("click", () => select(isSame(selected, what) ? null : what));
  for (const type of ["pointerenter", "focus"]) {
    button.addEventListener(type, () => {
      hovered = what;
      drawPlane();
    });
  }
  for (const type of ["pointerleave", "blur"]) {
    button.addEventListener(type, () => {
      hovered = null;
      drawPlane();
    });
  }
  const name = make("span", { className: "neuron-name", textContent: isInput ? `x[${j + 1}]` : `a${column}[${j + 1}]` });
  diagram.stage.append(button, name);
  diagram.neurons.push({ button, name, what, column, j });
}

const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function position(column, j) {
  const { top, height, pitch, width } = diagram;
  const n = network.sizes[column];
  const side = NODE / 2 + 12;
  const x = side + (column * (width - 2 * side)) / (network.sizes.length - 1);
  return [x, top + (height - top) / 2 + (j - (n - 1) / 2) * pitch - 6];
}

function layOutDiagram() {
  if (!diagram) return;
  diagram.width = Math.max(diagram.stage.clientWidth, parseFloat(diagram.stage.style.minWidth));
  diagram.stage.style.width = `${diagram.width}px`;
  diagram.svg.setAttribute("viewBox", `0 0 ${diagram.width} ${diagram.height}`);
  for (const { button, name, column, j } of diagram.neurons) {
    const [x, y] = position(column, j);
    Object.assign(button.style, { left: `${x}px`, top: `${y}px` });
    Object.assign(name.style, { left: `${x}px`, top: `${y + NODE / 2 - 1}px` });
  }
  for (const { path, l, j, k } of diagram.edges) {
    const [[x0, y0], [x1, y1]] = [position(l, k), position(l + 1, j)];
    const [from, to] = [x0 + NODE / 2, x1 - NODE / 2];
    const bend = (to - from) / 2;
    path.setAttribute("d", `M${from} ${y0}C${from + bend} ${y0} ${to - bend} ${y1} ${to} ${y1}`);
  }
  for (const head of diagram.stage.querySelectorAll(".column-head")) {
    head.style.left = `${position(Number(head.dataset.column), 0)[0]}px`;
  }
}

function drawDiagram() {
  const { theta } = network;
  for (const { path, index } of diagram.edges) {
    const size = Math.abs(theta[index]);
    path.setAttribute("class", `edge ${theta[index] < 0 ? "negative" : "positive"}`);
    path.setAttribute("stroke-width", (0.4 + 7 * (size / (size + 1.8))).toFixed(2));
    path.setAttribute("stroke-opacity", (0.35 + 0.6 * Math.min(1, size)).toFixed(2));
  }
  for (const { button, what } of diagram.neurons) {
    paint(button.firstChild, what, 0.9);
    button.setAttribute("aria-pressed", isSame(selected, what));
    const bias = what.kind === "neuron" ? `, bias ${number(theta[biasOf(what)], 3)}` : "";
    button.setAttribute("aria-label", `${nameOf(what)}${bias}`);
  }
}

function biasOf({ layer, j }) {
  const { n, start } = network.layers[layer];
  return start + j * (n + 1) + n;
}

function changeHidden(hidden) {
  change({ hidden });
  announce(`The network is now 2-${[...hidden, outputs()].join("-")}, with new weights.`);
}

// Read-outs

function drawCounters() {
  find("steps").textContent = trainer.steps.toLocaleString("en");
  find("epoch").textContent = trainer.epoch.toLocaleString("en");
  find("train-loss").textContent = number(losses.train, 4);
  find("test-loss").textContent = losses.test === null ? "–" : number(losses.test, 4);
  find("accuracy-counter").hidden = !data.classes;
  if (data.classes) find("accuracy").textContent = data.test.length ? `${(100 * accuracy(data.test)).toFixed(0)} %` : "–";
}

function accuracy(examples) {
  const right = examples.filter((e) => {
    const z = network.forward(data.X[e]);
    const predicted = z.length === 1 ? Number(z[0] > 0) : z.indexOf(Math.max(...z));
    return predicted === data.y[e];
  });
  return right.length / examples.length;
}

function drawGradients() {
  const gradient = new Float64Array(network.theta.length);
  const dz = network.gradient(data.X, data.y, data.train, settings.l2, gradient);
  if (!playing) trainer.gradient.set(gradient);
  gradientNorms = network.layers.map(({ n, m, start }, l) => {
    let squares = 0;
    for (let i = start; i < start + m * (n + 1); i++) {
      if ((i - start) % (n + 1) !== n) squares += gradient[i] ** 2;
    }
    return { layer: l + 1, dz: dz[l], dW: Math.sqrt(squares) };
  });
  const largest = Math.max(...gradientNorms.map(({ dz }) => dz));
  find("norms").replaceChildren(
    ...gradientNorms.map(({ layer, dz, dW }) => {
      const bar = make("i");
      // Six orders of magnitude fit into the width of the table.
      bar.style.width = `${dz > 0 ? Math.max(1, 100 + (100 / 6) * Math.log10(dz / largest)) : 0}%`;
      return make("tr", {}, ...[String(layer), number(dz, 3), number(dW, 3)].map((text) => make("td", { textContent: text })), make("td", {}, bar));
    }),
  );
  const [rate, eta] = [curvature.stableRate, settings.hyperparameters.lr];
  const verdict =
    rate === Infinity
      ? "No direction curves upwards here, so that nothing limits η."
      : eta < rate
        ? `Your η = ${number(eta, 3)} is below it.`
        : `Your η = ${number(eta, 3)} is above it: plain gradient descent runs away from a minimum.`;
  const other = settings.optimizer === "SGD" ? "" : ` The limit is that of plain gradient descent; ${settings.optimizer} has its own.`;
  find("stability").textContent =
    find("stability").dataset.error ?? `λ = ${number(curvature.lambda, 3)}, 2/λ = ${number(rate, 3)}. ${verdict}${other}`;
  // A logarithmic scale with 2/λ in the middle: from a thousandth of it to a thousand times it.
  const share = rate === Infinity ? 0 : 0.5 + Math.log10(Math.max(eta, 1e-12) / rate) / 6;
  find("rate").style.left = `${100 * Math.min(1, Math.max(0, share))}%`;
}

// The inspector

function select(what) {
  selected = what;
  if (what?.kind === "point") announce(describePoint(what.e));
  else if (what) announce(`The plane and the inspector show ${nameOf(what)}.`);
  buildInspector();
  draw();
}

function describePoint(e) {
  const [x1, x2] = data.X[e];
  const target = data.classes ? data.classes[data.y[e]] : `target ${number(data.y[e], 3)}`;
  const role = data.isTest[e] ? "test" : "training";
  const loss = network.loss.loss(network.forward(data.X[e]), data.y[e]);
  return `Point ${e + 1} of ${data.X.length}, ${role}: x = (${number(x1, 3)}, ${number(x2, 3)}), ${target}, loss ${number(loss, 3)}.`;
}

function buildInspector() {
  const box = find("inspector");
  if (!selected) {
    box.replaceChildren(make("p", { className: "quiet", textContent: "Choose a neuron of the network to read and change its weights, or a point of the plane to see its forward and backward pass." }));
    find("inspected").textContent = "";
  } else if (selected.kind === "input") {
    box.replaceChildren(make("p", { textContent: `x[${selected.j + 1}] is an input: one coordinate of a point.` }));
    find("inspected").textContent = `x[${selected.j + 1}]`;
  } else if (selected.kind === "neuron") buildNeuronInspector(box);
  else {
    const open = make("button", { id: "open-graph", textContent: "Explore this loss as a graph" });
    open.addEventListener("click", openGraph);
    box.replaceChildren(make("div", { id: "point" }), make("p", {}, open));
  }
  drawInspector();
}

function neuronNames({ layer, j }) {
  const { n } = network.layers[layer];
  const inputs = Array.from({ length: n }, (_, k) => (layer === 0 ? `x[${k + 1}]` : `a${layer}[${k + 1}]`));
  const weights = inputs.map((_, k) => `W${layer + 1}[${j + 1},${k + 1}]`);
  return { inputs, weights, bias: `b${layer + 1}[${j + 1}]`, z: `z${layer + 1}[${j + 1}]`, a: `a${layer + 1}[${j + 1}]` };
}

function buildNeuronInspector(box) {
  const { inputs, weights, bias, z, a } = neuronNames(selected);
  const sum = weights.map((weight, k) => `${weight} · ${inputs[k]}`).join(" + ");
  const isOutput = selected.layer === network.layers.length - 1;
  const fields = [...weights, bias].map((name) => {
    const input = make("input", { type: "number", step: "any" });
    input.dataset.parameter = name;
    input.addEventListener("input", () => {
      if (!Number.isFinite(input.valueAsNumber)) return;
      network.theta[parameters[name]] = input.valueAsNumber;
      measure();
      refresh();
    });
    return make("label", {}, name, input);
  });
  box.replaceChildren(
    make("p", { className: "formula", textContent: `${z} = ${sum} + ${bias}` }),
    make("p", { className: "formula", textContent: `${a} = ${isOutput ? z : `${settings.activation}(${z})`}` }),
    make("div", { className: "weights" }, ...fields),
  );
  find("inspected").textContent = a;
}

function drawInspector() {
  if (selected?.kind === "neuron") {
    for (const input of find("inspector").querySelectorAll("input")) {
      if (input !== document.activeElement) input.value = Number(network.theta[parameters[input.dataset.parameter]].toPrecision(6));
    }
  } else if (selected?.kind === "point") drawPointInspector();
}

// The scalar forward and backward pass of one example (§3, §6, §7).
function drawPointInspector() {
  const { e } = selected;
  const [x, y] = [data.X[e], data.y[e]];
  const z = network.forward(x);
  network.backward(x, y, new Float64Array(network.theta.length));
  const rows = network.layers.flatMap(({ sigma, z, a, delta }, l) =>
    Array.from(z, (z_j, j) => [`${l + 1}[${j + 1}]`, ...[z_j, a[j], sigma.slope(a[j], z_j), delta[j]].map((x) => number(x, 3))]),
  );
  const heads = ["Neuron", "z", "a = σ(z)", "σ′(z)", "δ = ∂ℓ/∂z"];
  const table = make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text })))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((text) => make("td", { textContent: text }))))),
  );
  const last = network.layers.length;
  const loss = number(network.loss.loss(z, y));
  const shown = (text) => make("p", { className: "formula", textContent: text });
  const lines = {
    squared_error: [`ŷ = z${last}[1] = ${number(z[0])}, y = ${number(y)}`, `ℓ = ½ (ŷ − y)² = ${loss}`, `δ${last}[1] = ŷ − y = ${number(z[0] - y)}`],
    binary_cross_entropy_with_logits: [
      `ŷ = sigmoid(z${last}[1]) = ${number(ACTIVATIONS.sigmoid.value(z[0]))}, y = ${y}`,
      `ℓ = −[y log ŷ + (1 − y) log(1 − ŷ)] = ${loss}`,
      `δ${last}[1] = ŷ − y = ${number(network.layers[last - 1].delta[0])}`,
    ],
    cross_entropy: [
      `ŷ = softmax(z${last}) = (${Array.from(z, (z_k) => number(Math.exp(z_k - logSumExp(z)), 3)).join(", ")}), y = ${y}`,
      `ℓ = −log ŷ[${y + 1}] = ${loss}`,
      `δ${last}[k] = ŷ[k] − (1 where k = ${y + 1})`,
    ],
  }[lossName()];
  if (last > 1) lines.push("δℓ[k] = σ′(zℓ[k]) · Σⱼ Wℓ₊₁[j,k] · δℓ₊₁[j]");
  find("inspected").textContent = describePoint(e);
  const numbers = [make("div", {}, ...lines.map(shown)), make("div", { className: "scroll" }, table)];
  find("point").replaceChildren(make("div", { className: "columns" }, ...numbers));
}

// The loss of the selected point in the explorer, with the present weights; what is changed there stays there.
function openGraph() {
  pause();
  const { e } = selected;
  const graph = new PointGraph(network, lossName(), data.X[e], data.y[e]);
  find("graph-title").textContent = describePoint(e);
  find("graph-frame").srcdoc = graph.page();
  find("graph").showModal();
}

// The plane: mouse, touch and keys

function toData(event) {
  const { left, top, width, height } = find("plane").getBoundingClientRect();
  const [[low1, high1], [low2, high2]] = domain;
  const share = [(event.clientX - left) / width, (event.clientY - top) / height];
  return [low1 + share[0] * (high1 - low1), high2 - share[1] * (high2 - low2)];
}

function nearest(x, within = Infinity) {
  let [best, distance] = [null, within];
  data.X.forEach((other, e) => {
    const d = Math.hypot(...[0, 1].map((k) => (other[k] - x[k]) / (domain[k][1] - domain[k][0])));
    if (d < distance) [best, distance] = [e, d];
  });
  return best;
}

// Points of the reader's own are another data set, which starts as a copy.
function editPoints() {
  settings.dataset = "own points";
  DATA.datasets["own points"] = { X: data.X, y: data.y, classes: data.classes };
  showSettings();
}

function pointsChanged(text) {
  editPoints();
  listExamples();
  measure();
  refresh();
  if (text) announce(text);
}

function addPoint(x, y) {
  data.X.push([...x]);
  data.y.push(y);
  data.isTest.push(false);
  pointsChanged(`Added a point of ${data.classes ? data.classes[y] : `target ${number(y, 3)}`}; there are ${data.X.length}.`);
}

function deletePoint(e) {
  if (e === null) return;
  if (data.train.length - (data.isTest[e] ? 0 : 1) < 1) {
    announce("The last point that is trained on stays.");
    return;
  }
  for (const list of [data.X, data.y, data.isTest]) list.splice(e, 1);
  selected = null;
  buildInspector();
  pointsChanged(`Deleted a point; there are ${data.X.length}.`);
}

function useTool(x) {
  const e = nearest(x, 0.05);
  if (tool.startsWith("add")) addPoint(x, Number(tool.slice(4)));
  else if (tool === "delete") deletePoint(e);
  else select(e === null ? null : { kind: "point", e });
}

function bindPlane() {
  const plane = find("plane");
  let dragged = null;
  plane.addEventListener("pointerdown", (event) => {
    cross = toData(event);
    if (tool !== "move") {
      useTool(cross);
      return;
    }
    dragged = nearest(cross, 0.05);
    if (dragged !== null) plane.setPointerCapture(event.pointerId);
    select(dragged === null ? null : { kind: "point", e: dragged });
  });
  plane.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    data.X[dragged] = toData(event);
    pointsChanged("");
  });
  plane.addEventListener("pointerup", () => {
    if (dragged !== null) announce(`Moved. ${describePoint(dragged)}`);
    dragged = null;
  });
  plane.addEventListener("keydown", (event) => {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const arrow = arrows[event.key];
    if (arrow) {
      const moved = tool === "move" && selected?.kind === "point";
      const from = moved ? data.X[selected.e] : cross;
      cross = from.map((x, k) => x + arrow[k] * (domain[k][1] - domain[k][0]) * (event.shiftKey ? 0.1 : 0.02));
      cross = cross.map((x, k) => Math.min(domain[k][1], Math.max(domain[k][0], x)));
      if (moved) {
        data.X[selected.e] = [...cross];
        pointsChanged(`Moved to (${number(cross[0], 3)}, ${number(cross[1], 3)}).`);
      } else draw();
    } else if (event.key === "Enter" || event.key === " ") useTool(cross);
    else if (event.key === "Delete" || event.key === "Backspace") {
      deletePoint(selected?.kind === "point" ? selected.e : nearest(cross, 0.05));
    } else if (event.key.toLowerCase() === "n") {
      const e = selected?.kind === "point" ? (selected.e + 1) % data.X.length : 0;
      cross = [...data.X[e]];
      select({ kind: "point", e });
    } else return;
    event.preventDefault();
  });
  for (const type of ["focus", "blur"]) plane.addEventListener(type, drawPlane);
}

function buildTools() {
  const adds = data.classes
    ? data.classes.map((name, k) => [`add ${k}`, name, colours.classes[k].css])
    : [-1, 1].map((sign) => [`add ${sign * largestTarget()}`, number(sign * largestTarget(), 3), pointColour(sign * largestTarget())]);
  find("add-tools").replaceChildren(
    ...adds.flatMap(([what, text, colour]) => {
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = colour;
      const button = make("button", { ariaLabel: `Add a point: ${text}` }, swatch, `+ ${text}`);
      button.dataset.tool = what;
      return [button, " "];
    }),
  );
  const buttons = [...document.querySelectorAll("[data-tool]")];
  if (!buttons.some((button) => button.dataset.tool === tool)) tool = "inspect";
  for (const button of buttons) {
    button.setAttribute("aria-pressed", button.dataset.tool === tool);
    button.onclick = () => {
      tool = button.dataset.tool;
      for (const other of buttons) other.setAttribute("aria-pressed", other === button);
    };
  }
}

// Settings

const TITLES = { lr: "Learning rate η", momentum: "Momentum μ", rho: "Decay ρ", beta1: "Decay β₁", beta2: "Decay β₂", eps: "ε" };

function showSettings() {
  const names = Object.keys(DATA.datasets);
  if (String([...find("datasets").querySelectorAll("input")].map((input) => input.value)) !== String(names)) buildDatasets(names);
  for (const input of find("datasets").querySelectorAll("input")) input.checked = input.value === settings.dataset;
  find("test-share").value = Math.round(100 * settings.testShare);
  find("test-share-value").textContent = `${Math.round(100 * settings.testShare)} %`;
  for (const [id, name] of Object.entries(SELECTS)) choose(find(id), settings[name]);
  find("seed").value = settings.seed;
  showHyperparameters();
  buildTools();
  showPython();
}

// A value that is not on the list of a select gets an entry of its own.
function choose(select, value) {
  const text = JSON.stringify(value);
  if (![...select.options].some((option) => option.value === text)) select.append(new Option(String(value), text));
  select.value = text;
}

const SELECTS = { activation: "activation", init: "init", optimizer: "optimizer", "batch-size": "batchSize", l2: "l2", speed: "speed" };

function buildSelects() {
  const fill = (id, options) => find(id).replaceChildren(...options.map(([text, value]) => new Option(text, JSON.stringify(value))));
  const plain = (names) => names.map((name) => [name, name]);
  fill("activation", plain(Object.keys(ACTIVATIONS)));
  fill("init", plain(["auto", ...Object.keys(INITIALIZERS)]));
  fill("optimizer", plain(Object.keys(OPTIMIZERS)));
  fill("batch-size", [["all points", null], ...[1, 2, 5, 10, 20, 30, 50, 100].map((n) => [String(n), n])]);
  fill("l2", [0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1].map((x) => [String(x), x]));
  fill("speed", [["1 step a frame", 1], ["10 steps a frame", 10], ["as fast as it goes", 0]]);
  for (const [id, name] of Object.entries(SELECTS)) {
    find(id).addEventListener("change", (event) => {
      change({ [name]: JSON.parse(event.target.value) });
      announce(`${event.target.labels[0].firstChild.textContent.trim()}: ${event.target.selectedOptions[0].text}.`);
    });
  }
  find("test-share").addEventListener("input", (event) => change({ testShare: event.target.value / 100 }));
  find("seed").addEventListener("change", (event) => {
    if (event.target.reportValidity()) change({ seed: event.target.valueAsNumber });
  });
}

function showHyperparameters() {
  const names = OPTIMIZERS[settings.optimizer].hyperparameters.map((name) => name);
  const box = find("hyperparameters");
  if (String([...box.querySelectorAll("input")].map((input) => input.name)) !== String(names)) {
    box.replaceChildren(
      ...names.map((name) => {
        const input = make("input", { type: "number", step: "any", min: 0, name, required: true });
        input.addEventListener("change", () => {
          const isAllowed = allowed(name, input.valueAsNumber);
          input.setCustomValidity(isAllowed ? "" : name === "lr" ? "0 or more" : name === "eps" ? "above 0" : "from 0 to below 1");
          if (input.reportValidity()) change({ hyperparameters: { [name]: input.valueAsNumber } });
        });
        return make("label", {}, `${TITLES[name] ?? name} `, input);
      }),
    );
  }
  for (const input of box.querySelectorAll("input")) {
    if (input !== document.activeElement) input.value = settings.hyperparameters[input.name];
  }
}

function buildDatasets(names) {
  find("datasets").replaceChildren(
    ...names.map((name) => {
      const input = make("input", { type: "radio", name: "dataset", value: name });
      input.addEventListener("change", () => {
        change({ dataset: name });
        announce(`Data: ${name}, ${data.X.length} points.`);
      });
      return make("label", {}, input, make("canvas"), make("span", { textContent: name }));
    }),
  );
  drawThumbnails();
}

function drawThumbnails() {
  for (const label of find("datasets").children) {
    const set = DATA.datasets[label.firstChild.value];
    const { context, width, height } = prepare(label.querySelector("canvas"));
    const [[left, right], [bottom, top]] = domainOf(set.X);
    const largest = Math.max(1e-12, ...set.y.map(Math.abs));
    set.X.forEach(([x1, x2], e) => {
      context.fillStyle = set.classes ? colours.classes[set.y[e]].css : `rgb(${diverging(set.y[e] / largest).map(Math.round)})`;
      context.beginPath();
      context.arc(((x1 - left) / (right - left)) * width, ((top - x2) / (top - bottom)) * height, 1.5, 0, 2 * Math.PI);
      context.fill();
    });
  }
}

// Leaving the page

function modelFile() {
  const { hidden, activation } = settings;
  return {
    format: DATA.model.format,
    version: 1,
    model: { ...DATA.model.model, layer_sizes: [...hidden, outputs()], activation: hidden.map(() => activation) },
    parameters: Object.fromEntries(Object.entries(parameters).map(([name, i]) => [name, network.theta[i]])),
  };
}

function download(name, text) {
  const link = make("a", { download: name, href: `data:application/json;charset=utf-8,${encodeURIComponent(text)}` });
  link.click();
}

function pythonCode() {
  const { optimizer, hyperparameters, hidden, activation, init, seed, batchSize, l2, testShare } = settings;
  const loss = lossName();
  const given = OPTIMIZERS[optimizer].hyperparameters.map((name) => name).filter((name) => !name.startsWith("beta"));
  const options = given.map((name) => `${name}=${hyperparameters[name]}`);
  if (optimizer === "Adam") options.push(`betas=(${hyperparameters.beta1}, ${hyperparameters.beta2})`);
  const names = ["MLP", optimizer, "datasets", "fit", ...(l2 ? ["l2"] : []), loss];
  const list = (numbers) => `[${numbers.join(", ")}]`;
  const points = DATA.datasets[settings.dataset].python ?? `X = [${data.X.map(list).join(", ")}]\ny = ${list(data.y)}`;
  const epochs = Math.max(1, trainer.epoch);
  return [
    `from micrograd_mlp import ${names.join(", ")}`,
    "",
    points,
    `X_train, X_test, y_train, y_test = datasets.train_test_split(X, y, test_size=${testShare || 0.3}, seed=0)`,
    `model = MLP(2, [${[...hidden, outputs()].join(", ")}], activation="${activation}", init="${init}", seed=${seed})`,
    `optimizer = ${optimizer}(model.parameters(), ${options.join(", ")})`,
    ...(l2 ? ["", "", "def loss(output, target):", `    return ${loss}(output, target) + ${l2} * l2(model.parameters())`, "", ""] : []),
    `history = fit(model, ${l2 ? "loss" : loss}, X_train, y_train, optimizer, epochs=${epochs}, batch_size=${batchSize ?? "None"}, seed=0)`,
    "",
  ].join("\n");
}

function showPython() {
  find("python").textContent = pythonCode();
}

function bindButtons() {
  find("play").addEventListener("click", () => (playing ? pause() : play()));
  find("step").addEventListener("click", oneStep);
  find("reset").addEventListener("click", restart);
  find("fewer-layers").addEventListener("click", () => changeHidden(settings.hidden.slice(0, -1)));
  find("more-layers").addEventListener("click", () => changeHidden([...settings.hidden, settings.hidden.at(-1) ?? 4]));
  find("use-csv").addEventListener("click", () => {
    try {
      DATA.datasets["own points"] = { ...parseCsv(find("csv").value) };
    } catch (error) {
      find("csv-error").textContent = error.message;
      return;
    }
    find("csv-error").textContent = "";
    change({ dataset: "own points" });
    buildDatasets(Object.keys(DATA.datasets));
    showSettings();
    announce(`${data.X.length} points are the data now.`);
  });
  find("show-csv").addEventListener("click", () => {
    find("csv").value = data.X.map((x, e) => [...x, data.classes ? data.classes[data.y[e]] : data.y[e]].join(", ")).join("\n");
  });
  find("save").addEventListener("click", () => {
    download("playground.model.json", `${JSON.stringify(modelFile(), null, 1)}\n`);
    find("leave-note").textContent = 'MLP.load("playground.model.json") reads the file.';
  });
  find("copy").addEventListener("click", async () => {
    showPython();
    try {
      await navigator.clipboard.writeText(find("python").textContent);
      find("leave-note").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(find("python"));
      find("leave-note").textContent = "Selected: copy it with Ctrl-C.";
    }
  });
  find("close-graph").addEventListener("click", () => find("graph").close());
  document.addEventListener("keydown", (event) => {
    if (find("graph").open || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, canvas")) return;
    const action = { p: () => (playing ? pause() : play()), s: oneStep, r: restart }[event.key.toLowerCase()];
    if (action) action();
  });
}

function oneStep() {
  pause();
  train(1);
  refresh();
  announce(`At ${summary()}.`);
}

function restart() {
  pause();
  delete find("stability").dataset.error;
  start();
  announce(`Started again: ${summary()}.`);
}

function draw() {
  evaluateGrid();
  drawPlane();
  drawDiagram();
  drawCounters();
  drawCurve();
  drawGradients();
  drawInspector();
}

// For teachers and tests

window.playground = {
  // The mean loss over the points that are trained on, or over those for testing; without the L2 penalty.
  loss(which = "train") {
    return network.meanLoss(data.X, data.y, data[which]);
  },
  // Take n steps; the loss after them.
  train(n) {
    train(n);
    refresh();
    return this.loss();
  },
  // Change settings by name, as state().settings shows them.
  set(changes) {
    change(changes);
    return this.state();
  },
  // Everything that the next step depends on, and what the page shows.
  state() {
    return structuredClone({
      step: trainer.steps,
      epoch: trainer.epoch,
      settings,
      model: modelFile(),
      data: { X: data.X, y: data.y, classes: data.classes, train: data.train, test: data.test },
      batches: trainer.batches, // of the last call of train
      optimizer: { t: trainer.t, state: trainer.state.map((numbers) => Array.from(numbers)) },
      losses,
      gradientNorms,
      curvature: { lambda: curvature.lambda, residual: curvature.residual, stableRate: curvature.stableRate },
    });
  },
};

readColours();
readAddress();
tool = "inspect";
buildSelects();
useData(settings.dataset);
bindPlane();
bindButtons();
start();
showSettings();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  drawThumbnails();
  buildTools();
  draw();
});
new ResizeObserver(() => {
  layOutDiagram();
  drawThumbnails();
  draw();
}).observe(document.querySelector("main"));

// The graph on a canvas: camera, drawing and what is under the pointer. Sizes are those of the scene; the
// camera scales them. A canvas moves 2,000 boxes smoothly, where as many SVG elements would not.

const MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const SANS = 'system-ui, -apple-system, "Segoe UI", sans-serif';
const SERIF = '"STIX Two Text", "Latin Modern Roman", Cambria, Georgia, "DejaVu Serif", serif';
const DATA = `600 13px ${MONO}`; // the fonts of the numbers on a box
const GRADIENT = `11.5px ${MONO}`;
const MOST_DASHED = 2500; // pixels
const MANY_EDGES = 500;
const ALPHAS = { faint: 0.16, waiting: 0.14, plain: 0.62, strong: 1, active: 1 }; // how opaque edges are
const TINY = 0.1; // below this scale boxes are plain rectangles, edges are straight, and faint ones are left out
const DASHED = 0.25; // below this scale dashes can't be told from lines
const LEGIBLE = 0.42; // below this scale boxes are drawn without their text
const RADII = { input: 17, parameter: 4, constant: 6 }; // of a box's corners, 9 for every other kind
const DASHES = { negative: [6, 4], zero: [1, 4], solid: [] };

// Compresses any size to 0 … 1: how much of a bar is filled, how thick an edge is.
const squash = (x) => (Number.isNaN(x) ? 0 : Math.abs(x) === Infinity ? 1 : Math.abs(x) / (1 + Math.abs(x)));

class View {
  constructor(canvas, explorer) {
    this.canvas = canvas;
    this.explorer = explorer;
    this.context = canvas.getContext("2d");
    this.camera = { x: 0, y: 0, scale: 1 };
    this.width = this.height = 0;
    this.draw = oncePerFrame(() => this.drawNow());
    this.moving = null; // boxes on their way after folding
    this.kept = { key: null, canvas: element("canvas") }; // what stays as it is while numbers change
    const drawAgain = () => {
      this.kept.key = null;
      this.draw();
    };
    addEventListener("explorer:draw", drawAgain, { signal: explorer.closing.signal }); // tests ask for it
  }

  // Camera

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = window.devicePixelRatio || 1;
    if (!clientWidth || !clientHeight) return false;
    if (this.width) {
      // What was in the middle stays there.
      this.camera.x += (clientWidth - this.width) / (2 * this.camera.scale);
      this.camera.y += (clientHeight - this.height) / (2 * this.camera.scale);
    }
    this.width = clientWidth;
    this.height = clientHeight;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.draw();
    return true;
  }

  // How small everything has to be to fit into the window.
  get fittingScale() {
    const { width, height } = this.explorer.arrangement;
    const margin = 2 * Math.min(28, this.width / 20);
    return Math.min((this.width - margin) / width, (this.height - margin) / height, 1.35);
  }

  // Everything in the window. Opening, a graph that would be too small to read starts at its
  // output instead, or where stepping begins.
  fit(readable = false) {
    const { width, height } = this.explorer.arrangement;
    const margin = Math.min(28, this.width / 20);
    const scale = this.fittingScale;
    const least = this.width < 600 ? 0.8 : 0.56;
    const fromStart = this.explorer.mode === "step" && this.explorer.stepping.now === 0;
    if (readable && scale < least) {
      const output = this.explorer.arrangement.boxes.get(this.explorer.boxOf(this.explorer.graph.output));
      const fitsAcross = width * least <= this.width - 2 * margin;
      const atEnd = fromStart ? margin / least : (this.width - margin) / least - width;
      const x = fitsAcross ? (this.width / least - width) / 2 : atEnd;
      const fits = height * least <= this.height - 2 * margin;
      const middle = fits ? height / 2 : output.top + output.height / 2;
      this.camera = { scale: least, x, y: this.height / (2 * least) - middle };
    } else {
      this.camera = { scale, x: (this.width / scale - width) / 2, y: (this.height / scale - height) / 2 };
    }
    this.draw();
  }

  zoom(factor, at = [this.width / 2, this.height / 2]) {
    const { camera } = this;
    const scale = clamp(camera.scale * factor, 0.004, 4);
    camera.x += at[0] / scale - at[0] / camera.scale;
    camera.y += at[1] / scale - at[1] / camera.scale;
    camera.scale = scale;
    this.draw();
  }

  pan(dx, dy) {
    this.camera.x += dx / this.camera.scale;
    this.camera.y += dy / this.camera.scale;
    this.draw();
  }

  // Moves the camera no more than needed to have a box in sight, at a size that can be read.
  show(box) {
    if (!box) return;
    if (this.camera.scale < 0.5) this.camera.scale = 0.75;
    const { camera } = this;
    const margin = 30 / camera.scale;
    const keep = (at, low, size, whole) => {
      if (low + at < margin) return margin - low;
      if (low + size + at > whole - margin) return whole - margin - low - size;
      return at;
    };
    camera.x = keep(camera.x, box.left, box.width, this.width / camera.scale);
    camera.y = keep(camera.y, box.top, box.height, this.height / camera.scale);
    this.draw();
  }

  toScene([x, y]) {
    return [x / this.camera.scale - this.camera.x, y / this.camera.scale - this.camera.y];
  }

  // What is under the pointer: a box, or a frame by its title.
  under(point, touch = false) {
    const [x, y] = this.toScene(point);
    const room = touch ? 8 / this.camera.scale : 0;
    for (const box of this.explorer.arrangement.boxes.values()) {
      if (x >= box.left - room && x <= box.left + box.width + room && y >= box.top - room && y <= box.top + box.height + room) return box;
    }
    for (const frame of [...this.explorer.arrangement.frames].reverse()) {
      if (x >= frame.left && x <= frame.left + frame.width && y >= frame.top && y <= frame.top + 28) return frame;
    }
    return null;
  }

  // After folding, boxes glide from where they were, unless motion is not wanted.
  glideFrom(before) {
    if (this.explorer.still.matches) return this.draw();
    const start = performance.now();
    this.moving = { before, part: 0 };
    const step = (now) => {
      if (!this.moving || this.moving.before !== before) return;
      const part = Math.min(1, (now - start) / 260);
      this.moving.part = 1 - (1 - part) ** 3;
      if (part === 1) this.moving = null;
      this.drawNow();
      if (part < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  // Drawing

  drawNow() {
    const { context, camera, explorer } = this;
    if (!this.width) return;
    const ratio = window.devicePixelRatio || 1;
    this.colours = explorer.colours;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.scale(camera.scale, camera.scale);
    context.translate(camera.x, camera.y);
    this.sight = {
      left: -camera.x, top: -camera.y, right: this.width / camera.scale - camera.x, bottom: this.height / camera.scale - camera.y,
    };
    this.detailed = camera.scale >= LEGIBLE;
    this.tiny = camera.scale < TINY;
    this.state = explorer.drawingState();
    this.keepWhatStays();
    for (const frame of explorer.arrangement.frames) if (this.inSight(frame, frame.left, frame.top)) this.drawFrame(frame);
    this.drawEdges();
    if (this.detailed) this.drawBoxes();
    else this.drawOutlines();
    this.drawTraveller();
    if (explorer.arrangement.hiddenCount) this.drawHiddenCount();
  }

  // Which boxes and edges are in sight, and the boxes without their numbers as a picture. Both hold until the
  // camera moves, something is folded, or boxes get another mark.
  keepWhatStays() {
    const { camera, explorer, kept } = this;
    const key = [camera.x, camera.y, camera.scale, this.width, this.height, explorer.arrangement.version,
      explorer.colours.dark, explorer.selected, explorer.selectedBox, this.state.step].join();
    if (kept.key === key && !this.moving) return;
    kept.key = this.moving ? null : key;
    kept.boxes = [];
    for (const box of explorer.arrangement.boxes.values()) {
      const [left, top] = this.placeOf(box);
      if (this.inSight(box, left, top)) kept.boxes.push({ box, left, top });
    }
    const ways = new Map(); // edges from one box that look the same as far as they are in sight
    for (const edge of explorer.arrangement.edges) {
      if (!this.edgeInSight(edge)) continue;
      const path = new Path2D();
      const way = this.addEdge(path, edge);
      if (ways.has(way)) ways.get(way).edges.push(edge);
      else ways.set(way, { edges: [edge], path });
    }
    kept.edges = [...ways.values()];
    if (this.detailed) this.paintStill();
  }

  paintStill() {
    const { context, canvas, kept } = this;
    [kept.canvas.width, kept.canvas.height] = [canvas.width, canvas.height];
    this.context = kept.canvas.getContext("2d");
    this.context.setTransform(context.getTransform());
    for (const { box, left, top } of kept.boxes) {
      this.context.save();
      this.context.translate(left, top);
      this.drawBox(box);
      if (box.group === undefined) this.drawNode(box);
      else this.drawGroup(box);
      this.context.restore();
    }
    this.context = context;
  }

  // Whether a box is in the window, whole.
  sees({ left, top, width, height }) {
    const { x, y, scale } = this.camera;
    const inside = (low, size, whole) => low * scale >= -1 && (low + size) * scale <= whole + 1;
    return inside(left + x, width, this.width) && inside(top + y, height, this.height);
  }

  inSight(item, left, top) {
    const { sight } = this;
    return left < sight.right && left + item.width > sight.left && top < sight.bottom && top + item.height > sight.top;
  }

  placeOf(box) {
    const before = this.moving?.before.get(box.id) ?? this.moving?.before.get(`f${box.node !== undefined ? this.explorer.arrangement.innermost[box.node] : box.group}`);
    if (!before) return [box.left, box.top];
    const { part } = this.moving;
    return [before.left + (box.left - before.left) * part, before.top + (box.top - before.top) * part];
  }

  drawFrame(frame) {
    const { context, colours } = this;
    const { formula, level, title: whole } = this.explorer.data.groups[frame.group];
    const title = frame.width < 200 ? whole.replace("parameters of ", "").replace("example", "ex") : whole;
    context.beginPath();
    context.roundRect(frame.left, frame.top, frame.width, frame.height, 12);
    context.fillStyle = colours.frame;
    context.globalAlpha = level === "layer" ? 0.55 : 1;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colours.group.border;
    context.lineWidth = this.explorer.selectedBox === frame.id ? 2.5 : 1;
    context.setLineDash(level === "layer" ? [2, 4] : []);
    context.stroke();
    context.setLineDash([]);
    if (!this.detailed) return;
    this.text("▾", frame.left + 12, frame.top + 20, `11px ${SANS}`, colours.quiet);
    this.text(this.cut(title, frame.width - 40, `600 12px ${SANS}`), frame.left + 28, frame.top + 20, `600 12px ${SANS}`, colours.ink);
    context.font = `600 12px ${SANS}`;
    const used = 44 + context.measureText(title).width;
    context.font = `12px ${SANS}`;
    if (formula && used + context.measureText(formula).width < frame.width - 10) {
      this.text(formula, frame.left + used, frame.top + 20, `12px ${SANS}`, colours.quiet);
    }
  }

  // Without text, all edges of one look are one path.
  drawEdges() {
    const { explorer } = this;
    const largest = explorer.edgeMode === "flow" ? explorer.largestFlow() : 1;
    const first = [];
    const later = [];
    const faintAreHairlines = explorer.arrangement.edges.length > MANY_EDGES;
    for (const { edges, path } of this.kept.edges) {
      // Of edges on top of each other, the one that stands out most.
      let shown = null;
      for (const edge of edges) {
        const marked = this.state.edgeMark(edge);
        if (this.tiny && marked === "faint") continue;
        const look = this.edgeLook(edge, marked, largest, marked === "faint" && faintAreHairlines);
        if (!shown || look.alpha > shown.look.alpha || (look.alpha === shown.look.alpha && look.width > shown.look.width)) shown = { edge, path, look, marked };
      }
      if (shown) (shown.marked === "strong" || shown.marked === "active" ? later : first).push(shown);
    }
    const drawn = [...first, ...later];
    if (this.detailed) {
      for (const { edge, path, look } of drawn) {
        this.strokeEdges(path, look);
        this.drawArrow(edge, look);
      }
    } else {
      const paths = new Map();
      for (const { path, look } of drawn) {
        const key = `${look.colour} ${look.alpha} ${look.width} ${look.dash}`;
        if (!paths.has(key)) paths.set(key, { look, whole: new Path2D() });
        paths.get(key).whole.addPath(path);
      }
      for (const { look, whole } of paths.values()) this.strokeEdges(whole, look);
    }
    this.context.globalAlpha = 1;
    this.context.setLineDash([]);
  }

  edgeInSight(edge) {
    if (this.moving) return true;
    const { sight } = this;
    return edge.from.left < sight.right && edge.to.left > sight.left && edge.low < sight.bottom && edge.high > sight.top;
  }

  // Hundreds of faint edges are hairlines, which show their size by how faint they are: thick lines cost twice
  // the time. Dashing them, or a curve that runs far out of the window, would cost more than all else.
  edgeLook(edge, marked, largest, isHairline) {
    const { colours, camera, explorer } = this;
    const { size, mixed } = explorer.edgeSize(edge);
    const share = explorer.edgeMode === "flow" ? Math.sqrt(Math.abs(size) / (largest || 1)) || 0 : squash(size);
    const width = marked === "active" ? 3.2 : 0.9 + 4.2 * share;
    const pixels = this.detailed ? width * camera.scale : Math.round(2 * width * camera.scale) / 2;
    const dashed = !mixed && !isHairline && camera.scale >= DASHED && (edge.high - edge.low) * camera.scale < MOST_DASHED;
    const alpha = ALPHAS[marked];
    return {
      colour: marked === "active" ? colours.active : mixed ? colours.zero : size > 0 ? colours.positive : size < 0 ? colours.negative : colours.zero,
      alpha: isHairline ? alpha * (0.5 + 0.5 * share) : alpha,
      width: (isHairline ? 1 : Math.max(1, pixels)) / camera.scale,
      dash: DASHES[dashed && size < 0 ? "negative" : dashed && size === 0 ? "zero" : "solid"],
    };
  }

  // The curve of an edge, as far as it is in sight; far away it is as good as straight. Returns where it runs.
  addEdge(path, edge) {
    const { sight } = this;
    const way = [edge.from.id];
    const [fromLeft, fromTop] = this.placeOf(edge.from);
    const [toLeft, toTop] = this.placeOf(edge.to);
    let x = fromLeft + edge.from.width;
    let y = fromTop + edge.from.height / 2;
    const end = toTop + edge.to.height / 2 + edge.end;
    path.moveTo(x, y);
    const curveTo = (right, height) => {
      const half = Math.max(18, (right - x) / 2);
      const inSight = x - 18 < sight.right && right + 18 > sight.left && Math.min(y, height) < sight.bottom && Math.max(y, height) > sight.top;
      if (inSight) way.push(x, y, right, height);
      if (!inSight) path.moveTo(right, height);
      else if (this.tiny) path.lineTo(right, height);
      else path.bezierCurveTo(x + half, y, right - half, height, right, height);
    };
    for (const lane of edge.way) {
      curveTo(lane.left, lane.y);
      if (lane.right > sight.left && lane.left < sight.right) way.push(lane.y, Math.min(lane.right, sight.right));
      if (lane.right > lane.left) path.lineTo(lane.right, lane.y);
      [x, y] = [lane.right, lane.y];
    }
    curveTo(toLeft - 5, end);
    return way.join();
  }

  strokeEdges(path, { colour, alpha, width, dash }) {
    const { context } = this;
    context.globalAlpha = alpha;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.stroke(path);
  }

  drawArrow(edge, { colour, width }) {
    const { context } = this;
    const [left, top] = this.placeOf(edge.to);
    const end = top + edge.to.height / 2 + edge.end;
    const length = 4 + width * 0.55;
    context.beginPath();
    context.moveTo(left, end);
    context.lineTo(left - length - 2, end - length * 0.6);
    context.lineTo(left - length - 2, end + length * 0.6);
    context.fillStyle = colour;
    context.fill();
  }

  // The boxes as they are kept, and the numbers on them.
  drawBoxes() {
    const { context, kept } = this;
    context.save();
    context.resetTransform();
    context.drawImage(kept.canvas, 0, 0);
    context.restore();
    for (const { box, left, top } of kept.boxes) {
      context.translate(left, top);
      if (box.group === undefined) this.drawNumbers(box);
      else this.drawQuantities(box);
      context.translate(-left, -top);
    }
  }

  // Boxes too small for text: those of one look are one path.
  drawOutlines() {
    const paths = new Map();
    for (const { box, left, top } of this.kept.boxes) {
      const look = this.boxLook(box);
      const key = `${look.kind} ${look.marked} ${look.faded}`;
      if (!paths.has(key)) paths.set(key, { look, path: new Path2D() });
      if (this.tiny) paths.get(key).path.rect(left, top, box.width, box.height);
      else paths.get(key).path.roundRect(left, top, box.width, box.height, RADII[box.kind] ?? 9);
    }
    for (const { look, path } of paths.values()) this.paintBoxes(path, look);
  }

  boxLook(box) {
    if (box.group === undefined) {
      const { mark, faded } = this.state.look(box.node);
      return { kind: box.kind, marked: mark, faded };
    }
    const marked = this.explorer.selectedBox === box.id ? "selected" : this.state.group(box.group);
    return { kind: this.explorer.data.groups[box.group].level === "parameters" ? "parameter" : "group", marked, faded: false };
  }

  paintBoxes(path, { kind, marked, faded }) {
    const { context, colours } = this;
    const colour = colours[kind];
    context.globalAlpha = faded ? 0.45 : 1;
    context.fillStyle = !this.tiny ? colour.fill : marked ? colours.active : colour.border;
    context.fill(path);
    context.globalAlpha = 1;
    if (this.tiny) return;
    context.strokeStyle = marked === "active" ? colours.active : marked === "selected" ? colours.focus : colour.border;
    context.lineWidth = marked ? 3 : 1.2;
    if (kind === "constant") context.setLineDash([3, 3]);
    context.stroke(path);
    context.setLineDash([]);
  }

  drawNode({ node, isLeaf, width }) {
    const { colours, explorer } = this;
    const { name, op } = explorer.data.nodes[node];
    if (isLeaf) {
      if (name !== null) this.symbol(node, 10, 24, 15);
      return;
    }
    const { sign } = explorer.data.ops[op];
    const font = sign.length > 2 ? `600 13px ${SANS}` : `600 17px ${SANS}`;
    this.text(this.cut(sign, width - 54, font), 9, 20, font, colours.ink);
    this.symbol(node, width - 10, 19, 14, "right");
  }

  drawNumbers({ node, isLeaf, width }) {
    const { colours, explorer } = this;
    if (isLeaf && explorer.data.nodes[node].name === null) {
      this.text(number(explorer.graph.data[node]), width / 2, 19, `13px ${MONO}`, colours.ink, "center");
      return;
    }
    const shown = this.state.numbers(node);
    const right = width - 10;
    const y = isLeaf ? 16 : 38;
    this.text(shown.data, right, y, DATA, colours.ink, "right");
    if (isLeaf) this.drawUnderline(shown.data, right, 19);
    if (shown.grad !== null) this.drawGradient("∂", shown.grad, right, isLeaf ? 31 : 54);
  }

  drawBox(box) {
    const path = new Path2D();
    path.roundRect(0, 0, box.width, box.height, RADII[box.kind] ?? 9);
    this.paintBoxes(path, this.boxLook(box));
  }

  drawGradient(letter, text, right, y) {
    const { colours } = this;
    this.text(text, right, y, GRADIENT, colours.gradient, "right");
    this.text(letter, right - this.widthOf(text, GRADIENT) - 5, y, `italic 12px ${SERIF}`, colours.gradient, "right");
  }

  // A dotted line says: this number can be dragged.
  drawUnderline(text, right, y) {
    const { context, colours } = this;
    context.beginPath();
    context.moveTo(right - this.widthOf(text, DATA), y);
    context.lineTo(right, y);
    context.setLineDash([1.5, 2]);
    context.lineWidth = 1;
    context.strokeStyle = colours.quiet;
    context.stroke();
    context.setLineDash([]);
  }

  drawGroup(box) {
    const { colours } = this;
    const group = this.explorer.data.groups[box.group];
    this.text("▸", 9, box.brief ? 23 : 19, `11px ${SANS}`, colours.quiet);
    if (box.brief) return this.drawSymbol(group.quantities.at(-2).symbol, 24, 24, 15, "left", colours.ink);
    const title = this.shortTitle(group);
    this.text(this.cut(title, box.width - 30, `600 12px ${SANS}`), 24, 19, `600 12px ${SANS}`, colours.ink);
    if (group.level === "parameters") this.text(`${group.nodes.length} parameters`, 24, 36, `12px ${SANS}`, colours.quiet);
    group.quantities.forEach(({ symbol, what }, i) =>
      this.drawSymbol(symbol, 12, 38 + 18 * i, 14, "left", what === "grad" ? colours.gradient : colours.ink));
  }

  // The numbers of a folded group: one by one, or as bars.
  drawQuantities(box) {
    const { colours } = this;
    const { quantities } = this.explorer.data.groups[box.group];
    if (box.brief) return this.drawBriefNeuron(box, quantities);
    quantities.forEach(({ nodes, what }, i) => {
      const y = 38 + 18 * i;
      const values = nodes.map((node) => this.state.number(node, what));
      if (values.length > 1) this.drawBars(values, 62, y - 13, box.width - 74, 15, what);
      else if (what === "grad") this.text(shownNumber(values[0]), box.width - 10, y, `12.5px ${MONO}`, colours.gradient, "right");
      else this.text(shownNumber(values[0]), box.width - 10, y, `600 12.5px ${MONO}`, colours.ink, "right");
    });
  }

  // In a frame, a neuron need not say its layer and its example again.
  shortTitle({ title, level, parent }) {
    const neuron = title.replace(/^parameters of (?=neuron)/, "").replace(/(?<=neuron \d+) of layer \d+/, "");
    if (level !== "neuron") return neuron;
    return parent === null ? neuron.replace("example", "ex") : neuron.replace(/, example.*/, "");
  }

  // One of many neurons: its activation and its error signal.
  drawBriefNeuron({ width }, quantities) {
    const [activation, signal] = quantities.slice(-2).map(({ nodes: [node], what }) => shownNumber(this.state.number(node, what)));
    this.text(activation, width - 9, 16, DATA, this.colours.ink, "right");
    if (signal) this.drawGradient("δ", signal, width - 9, 31);
  }

  // A vector as bars, up for positive and down for negative numbers, the largest filling its half.
  drawBars(values, x, y, width, height, what) {
    const { context, colours } = this;
    const middle = y + height / 2;
    const largest = Math.max(...values.map((v) => (Number.isFinite(v) ? Math.abs(v) : 0))) || 1;
    const step = width / values.length;
    context.strokeStyle = colours.zero;
    context.lineWidth = 0.7;
    context.beginPath();
    context.moveTo(x, middle);
    context.lineTo(x + width, middle);
    context.stroke();
    values.forEach((value, i) => {
      if (value === null) return;
      const length = (height / 2) * (Number.isFinite(value) ? value / largest : 0);
      context.fillStyle = what === "grad" ? colours.gradient : value < 0 ? colours.negative : colours.positive;
      context.fillRect(x + i * step + step * 0.12, Math.min(middle, middle - length), Math.max(step * 0.76, 0.5), Math.max(Math.abs(length), 0.6));
    });
  }

  // In the stepping mode a dot runs along the edge: to the node in the forward pass, back in the backward pass.
  drawTraveller() {
    const { traveller } = this.explorer.stepping;
    if (!traveller) return;
    const { context, colours } = this;
    const { edge, part } = traveller;
    const points = [[edge.from.left + edge.from.width, edge.from.top + edge.from.height / 2]];
    for (const lane of edge.way) points.push([lane.left, lane.y], [lane.right, lane.y]);
    points.push([edge.to.left, edge.to.top + edge.to.height / 2 + edge.end]);
    const at = part * (points.length - 1);
    const k = Math.min(Math.floor(at), points.length - 2);
    const t = at - k;
    const ease = t * t * (3 - 2 * t);
    const [[x0, y0], [x1, y1]] = [points[k], points[k + 1]];
    context.beginPath();
    context.arc(x0 + (x1 - x0) * t, y0 + (y1 - y0) * ease, 5.5, 0, 2 * Math.PI);
    context.fillStyle = colours.active;
    context.fill();
  }

  drawHiddenCount() {
    const text = `${this.explorer.arrangement.hiddenCount.toLocaleString("en")} more nodes, farther from the output, are computed but not drawn`;
    this.context.setTransform(window.devicePixelRatio || 1, 0, 0, window.devicePixelRatio || 1, 0, 0);
    this.text(text, 14, 22, `12px ${SANS}`, this.colours.quiet);
  }

  // Text

  text(text, x, y, font, colour, align = "left") {
    const { context } = this;
    context.font = font;
    context.fillStyle = colour;
    context.textAlign = align;
    context.fillText(text, x, y);
  }

  // All letters of numbers are as wide as a 0.
  widthOf(number, font) {
    this.digits ??= new Map();
    if (!this.digits.has(font)) {
      this.context.font = font;
      this.digits.set(font, this.context.measureText("0").width);
    }
    return number.length * this.digits.get(font);
  }

  cut(text, width, font) {
    const { context } = this;
    context.font = font;
    if (context.measureText(text).width <= width) return text;
    let letters = [...text];
    const perLetter = context.measureText(text).width / letters.length;
    letters = letters.slice(0, Math.max(1, Math.floor(width / perLetter) + 2));
    while (letters.length > 1 && context.measureText(letters.join("") + "…").width > width) letters.pop();
    return letters.join("") + "…";
  }

  symbol(node, x, y, size, align = "left") {
    const { notation } = this.explorer;
    const symbol = notation.nodes[node].symbol;
    const most = align === "right" ? 66 : 62;
    if (symbol) this.drawSymbol(symbol, x, y, size, align, this.colours.ink);
    else this.text(this.cut(notation.name(node), most, `italic ${size - 2}px ${SERIF}`), x, y, `italic ${size - 2}px ${SERIF}`, this.colours.ink, align);
  }

  // A letter with its layer above and its index below, as in the paper.
  drawSymbol({ letter, superscript, subscript, occurrence }, x, y, size, align, colour) {
    const { context } = this;
    const letterFont = `italic ${size}px ${SERIF}`;
    const smallFont = `${Math.round(size * 0.66)}px ${SERIF}`;
    context.font = letterFont;
    const wide = context.measureText(letter).width + 1;
    context.font = smallFont;
    const scripts = Math.max(context.measureText(superscript).width, context.measureText(subscript).width);
    const more = occurrence ? context.measureText(occurrence).width + 2 : 0;
    const left = align === "right" ? x - wide - scripts - more : x;
    this.text(letter, left, y, letterFont, colour);
    this.text(superscript, left + wide, y - size * 0.4, smallFont, colour);
    this.text(subscript, left + wide, y + size * 0.24, smallFont, colour);
    if (occurrence) this.text(occurrence, left + wide + scripts + 2, y, smallFont, this.colours.quiet);
  }
}

// A true minus sign, which is as wide as a digit.
const minus = (text) => text.replace("-", "−");
// In the stepping mode, null is what has not been computed yet.
const shownNumber = (x) => (x === null ? "" : minus(number(x)));

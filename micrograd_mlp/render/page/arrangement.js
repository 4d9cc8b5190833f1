// What is on the canvas: the scene's nodes and groups as boxes, frames and edges, for the groups that are open.

const SIZES = {
  leaf: [128, 38], constant: [56, 28], op: [116, 62], neuron: [132, 84], manyNeurons: [132, 38], layer: [220, 92], parameters: [128, 46],
}; // width and height
const FRAME = { side: 14, top: 34, bottom: 14 }; // room around what an open group holds
const MOST_OPEN_BOXES = 2000; // with more, layers stay folded
const FEW_NEURONS = 4; // a layer of more shows each in one line

class Arrangement {
  constructor(data, graph) {
    this.graph = graph;
    this.nodes = data.nodes;
    this.groups = data.groups;
    this.ops = data.ops;
    this.open = new Set();
    this.innermost = new Array(graph.size).fill(null);
    this.members = new Map([[null, { groups: [], nodes: [] }]]);
    this.groups.forEach((group, g) => this.members.set(g, { groups: [], nodes: [] }));
    this.groups.forEach((group, g) => this.members.get(group.parent).groups.push(g));
    // Neurons come after layers in the list, so that the innermost group of a node is written last.
    this.groups.forEach((group, g) => group.nodes.forEach((node) => (this.innermost[node] = g)));
    for (let i = 0; i < graph.size; i++) this.members.get(this.innermost[i]).nodes.push(i);
    this.ranks = this.findRanks(data.ops);
    this.openFor("layers");
  }

  // Folding

  openFor(level) {
    this.open.clear();
    this.groups.forEach((group, g) => {
      const isLayer = group.parent === null;
      if (level === "all" || (level === "neurons" && isLayer && this.members.get(g).groups.length)) this.open.add(g);
    });
    return this.keepWithin();
  }

  toggle(g) {
    if (this.open.has(g)) {
      this.open.delete(g);
      for (const inner of this.members.get(g).groups) this.open.delete(inner);
      return true;
    }
    for (let outer = this.groups[g].parent; outer !== null; outer = this.groups[outer].parent) this.open.add(outer);
    this.open.add(g);
    return this.countBoxes() <= MOST_OPEN_BOXES || (this.open.delete(g), false);
  }

  // Opens whatever hides a node.
  reveal(node) {
    let opened = false;
    for (let g = this.innermost[node]; g !== null; g = this.groups[g].parent) {
      if (!this.open.has(g)) opened = true;
      this.open.add(g);
    }
    return opened && this.keepWithin();
  }

  // Folds the largest groups again while too much is open; says whether everything could stay open.
  keepWithin() {
    let kept = true;
    while (this.countBoxes() > MOST_OPEN_BOXES && this.open.size) {
      kept = false;
      const largest = [...this.open].reduce((a, b) => (this.groups[a].nodes.length >= this.groups[b].nodes.length ? a : b));
      this.open.delete(largest);
    }
    return kept;
  }

  countBoxes() {
    const within = (container) => {
      const { groups, nodes } = this.members.get(container);
      return nodes.length + groups.reduce((sum, g) => sum + (this.open.has(g) ? within(g) : 1), 0);
    };
    return within(null);
  }

  // The box that shows a node: a number for the node itself, or the outermost folded group as `g3`.
  boxOf(node) {
    let box = node;
    for (let g = this.innermost[node]; g !== null; g = this.groups[g].parent) if (!this.open.has(g)) box = `g${g}`;
    return box;
  }

  // Laying out

  // Boxes that feed the same operation stand in the order of its operands; in wᵀx each x below its w.
  findRanks(ops) {
    return this.graph.children.map((uses) => {
      if (!uses.length) return 0;
      const [child, operand] = uses.at(-1);
      const isDot = this.nodes[child].op !== null && ops[this.nodes[child].op].role === "dot";
      const half = this.graph.parents[child].length / 2;
      const position = isDot ? (operand % half) + (operand < half ? 0 : 0.5) : operand;
      return -child + position / this.graph.parents[child].length;
    });
  }

  // Everything that is shown: boxes and frames with absolute positions, and edges between boxes.
  arrange() {
    this.version = (this.version ?? 0) + 1;
    this.boxes = new Map();
    this.frames = [];
    this.shown = this.nearestNodes();
    const root = this.layOutContainer(null);
    this.settle(root, 0, 0);
    this.edges = this.findEdges();
    this.width = root.width;
    this.height = root.height;
    return this;
  }

  // Where even folding leaves too many boxes, those nearest to the output are shown.
  nearestNodes() {
    if (this.countBoxes() <= MOST_OPEN_BOXES) return null;
    const shown = new Set();
    const boxes = new Set();
    let frontier = [this.graph.output];
    const reached = new Set(frontier);
    while (frontier.length && boxes.size < MOST_OPEN_BOXES) {
      const following = [];
      for (const node of frontier) {
        const box = this.boxOf(node);
        if (boxes.size >= MOST_OPEN_BOXES && !boxes.has(box)) continue;
        boxes.add(box);
        shown.add(node);
        for (const parent of this.graph.parents[node]) {
          if (!reached.has(parent)) following.push(parent);
          reached.add(parent);
        }
      }
      frontier = following;
    }
    return shown;
  }

  get hiddenCount() {
    return this.shown === null ? 0 : this.graph.size - this.shown.size;
  }

  isShown(node) {
    return this.shown === null || this.shown.has(node);
  }

  layOutContainer(container) {
    const { groups, nodes } = this.members.get(container);
    const items = [];
    const itemOf = new Map(); // of every node inside
    const add = (item, inside) => {
      items.push(item);
      for (const node of inside) itemOf.set(node, item);
    };
    for (const node of nodes) if (this.isShown(node)) add(this.nodeItem(node), [node]);
    for (const g of groups) {
      const inside = this.groups[g].nodes.filter((node) => this.isShown(node));
      if (inside.length) add(this.open.has(g) ? this.frameItem(g) : this.groupItem(g), inside);
    }
    const isNeuron = container !== null && this.groups[container].level === "neuron";
    const ports = isNeuron ? this.addPorts(items, itemOf) : [];
    items.sort((a, b) => a.last - b.last);
    const positions = new Map(items.map((item, i) => [item, i]));
    const sources = items.map(() => new Set());
    const link = (from, to) => {
      // Grouping can close a circle; the edge that goes back does not count for the columns.
      if (from && to && positions.get(from) < positions.get(to)) sources[positions.get(to)].add(positions.get(from));
    };
    for (const [node, item] of itemOf) for (const parent of this.graph.parents[node]) link(itemOf.get(parent), item);
    for (const { port, child } of ports) link(port, itemOf.get(child));
    for (const item of items) item.load = this.countEntering(item, itemOf);
    const isLayer = container !== null && !isNeuron;
    const layout = layOut(items, sources.map((own) => [...own]), isLayer);
    return { items, itemOf, positions, ...layout };
  }

  nodeItem(node) {
    const isLeaf = this.graph.parents[node].length === 0;
    const { kind, label, op } = this.nodes[node];
    const [least, height] = SIZES[!isLeaf ? "op" : kind === "constant" && !label ? "constant" : "leaf"];
    const letters = isLeaf ? 0 : this.ops[op].sign.length;
    const width = least + clamp(9 * (letters - 6), 0, 60); // room for logsumexp beside the node's name
    return { id: node, node, kind, isLeaf, width, height, rank: this.ranks[node], last: node };
  }

  groupItem(g) {
    const { level, quantities, nodes, parent } = this.groups[g];
    const brief = level === "neuron" && parent !== null && this.members.get(parent).groups.length > FEW_NEURONS;
    let [width, height] = SIZES[brief ? "manyNeurons" : level];
    if (level !== "parameters" && !brief) height = 30 + 18 * quantities.length;
    return { id: `g${g}`, group: g, kind: level, brief, width, height, rank: this.rankOfGroup(g), last: nodes.at(-1) };
  }

  frameItem(g) {
    const inner = this.layOutContainer(g);
    const { nodes } = this.groups[g];
    return {
      id: `f${g}`, group: g, inner, kind: "frame",
      width: Math.max(inner.width + 2 * FRAME.side, 128), height: inner.height + FRAME.top + FRAME.bottom,
      rank: this.rankOfGroup(g), last: Math.max(...nodes),
    };
  }

  // How many edges are drawn from other items to this one.
  countEntering(item, itemOf) {
    const nodes = item.isPort ? [] : item.node !== undefined ? [item.node] : this.groups[item.group].nodes;
    const drawn = new Set();
    for (const node of nodes) {
      for (const parent of this.graph.parents[node]) {
        if (itemOf.get(parent) !== item) drawn.add(`${this.boxOf(parent)}>${this.boxOf(node)}`);
      }
    }
    return drawn.size;
  }

  // Neurons stand in the order of their layer.
  rankOfGroup(g) {
    const { nodes, parent } = this.groups[g];
    if (parent !== null) return g;
    const inside = new Set(nodes);
    const ranks = nodes.filter((node) => this.graph.children[node].some(([child]) => !inside.has(child))).map((node) => this.ranks[node]);
    return ranks.length ? Math.min(...ranks) : 0;
  }

  // In a neuron's frame, what comes from outside passes through ports at its left side, each at a height of its own.
  addPorts(items, itemOf) {
    const ports = new Map();
    const uses = [];
    for (const node of itemOf.keys()) {
      this.graph.parents[node].forEach((parent) => {
        if (itemOf.has(parent) || !this.isShown(parent)) return;
        const key = this.boxOf(parent);
        if (!ports.has(key)) {
          const port = { id: `port ${key}`, isPort: true, width: 0, height: 2, rank: this.ranks[parent], last: -1 };
          // Several nodes use it: it stands where the first use in this frame wants it.
          const [, operand] = this.graph.children[parent].find(([child]) => child === node);
          const half = this.graph.parents[node].length / 2;
          port.rank = -node + ((operand % half) + 0.5) / this.graph.parents[node].length;
          ports.set(key, port);
          items.push(port);
        }
        uses.push({ port: ports.get(key), child: node });
      });
    }
    return uses;
  }

  // Absolute positions, from the outside in.
  settle(container, left, top) {
    for (const item of container.items) {
      item.left = left + item.x;
      item.top = top + item.y - item.height / 2;
      item.container = container;
      item.originLeft = left;
      item.originTop = top;
      if (item.kind === "frame") {
        this.frames.push(item);
        item.inner.frame = item;
        this.settle(item.inner, item.left + FRAME.side, item.top + FRAME.top);
      } else if (!item.isPort) this.boxes.set(item.id, item);
    }
  }

  // Edges between boxes, each with the uses of a parent by a child that it stands for.
  findEdges() {
    const found = new Map();
    for (let child = 0; child < this.graph.size; child++) {
      if (!this.isShown(child)) continue;
      const to = this.boxOf(child);
      this.graph.parents[child].forEach((parent, operand) => {
        if (!this.isShown(parent)) return;
        const from = this.boxOf(parent);
        if (from === to) return;
        const single = typeof from === "number" && typeof to === "number";
        const key = single ? `${from}>${to}>${operand}` : `${from}>${to}`;
        if (!found.has(key)) found.set(key, { key, from: this.boxes.get(from), to: this.boxes.get(to), parent, child, uses: [] });
        found.get(key).uses.push([child, operand]);
      });
    }
    const edges = [...found.values()];
    for (const edge of edges) edge.way = joined(this.wayOf(edge));
    this.spreadEnds(edges);
    for (const edge of edges) {
      const heights = [edge.from.top + edge.from.height / 2, edge.to.top + edge.to.height / 2 + edge.end, ...edge.way.map((lane) => lane.y)];
      [edge.low, edge.high] = [Math.min(...heights), Math.max(...heights)];
    }
    return edges;
  }

  // The points that an edge passes between its ends: lanes, and the ports of frames that it enters.
  wayOf({ from, to, parent }) {
    const outer = [];
    const chain = (box) => {
      const containers = [];
      for (let item = box; item; item = this.frameOf(item)) containers.push(item);
      return containers;
    };
    const [froms, tos] = [chain(from), chain(to)];
    // Out of a frame an edge runs straight, past what is wider than its own box.
    for (let item = from; this.frameOf(item) && !tos.includes(this.frameOf(item)); item = this.frameOf(item)) {
      const right = item.originLeft + item.container.width;
      if (right > item.left + item.width + 1) outer.push({ left: item.left + item.width, right, y: from.top + from.height / 2 });
    }
    const source = froms.find((item) => tos.some((other) => other.container === item.container));
    const target = tos.find((other) => other.container === source.container);
    const { way, positions } = source.container;
    for (const lane of way(positions.get(source), positions.get(target))) {
      outer.push({ left: source.originLeft + lane.x, right: source.originLeft + lane.x + lane.width, y: source.originTop + lane.y });
    }
    // From the outermost frame of the target inwards.
    for (const item of tos.slice(0, tos.indexOf(target)).reverse()) {
      const port = item.container.items.find((other) => other.id === `port ${from.id}`);
      if (!port) continue;
      outer.push({ left: port.left, right: port.left, y: port.originTop + port.y });
      const inner = item.container.way(item.container.positions.get(port), item.container.positions.get(item));
      for (const lane of inner) {
        outer.push({ left: item.originLeft + lane.x, right: item.originLeft + lane.x + lane.width, y: item.originTop + lane.y });
      }
      // Past the first column of the frame, behind which the parameters stand.
      const own = item.container.items.filter((other) => !other.isPort && other.x < 1);
      const edge = Math.max(0, ...own.filter((other) => other !== item).map((other) => other.width));
      if (item.x > 1) outer.at(-1).right = Math.max(outer.at(-1).right, port.left + edge);
    }
    return outer;
  }

  frameOf(item) {
    return item.container.frame ?? null;
  }

  // Where edges meet the left side of a box: spread from top to bottom as they come.
  spreadEnds(edges) {
    const into = new Map();
    for (const edge of edges) {
      if (!into.has(edge.to)) into.set(edge.to, []);
      into.get(edge.to).push(edge);
    }
    const heightOf = (edge) => (edge.way.length ? edge.way.at(-1).y : edge.from.top + edge.from.height / 2);
    for (const [box, own] of into) {
      own.sort((a, b) => heightOf(a) - heightOf(b) || a.uses[0][1] - b.uses[0][1]);
      const spacing = Math.min(12, (box.height - 14) / own.length);
      own.forEach((edge, i) => (edge.end = (i - (own.length - 1) / 2) * spacing));
    }
  }
}

// Lanes at the same height are one, since the edge runs straight from each to the next.
const joined = (way) => {
  const lanes = [];
  for (const lane of way) {
    const last = lanes.at(-1);
    if (last && Math.abs(last.y - lane.y) < 0.5) last.right = lane.right;
    else lanes.push({ ...lane });
  }
  return lanes;
};

// Every path from the output to a node: how many, what they sum to, and which weigh most (§6, §7).
// The method is that of paths.py: one pass finds for each node what its paths amount to, and the search
// then opens only the largest of them.

const LOG_OF_ZERO = -1e300; // not -Infinity, which would make nan of a zero and an infinity on one path

// log |local derivative|: sums of it neither overflow nor underflow. inf and nan come first of all.
const logSize = (x) => (!Number.isFinite(x) ? Infinity : x === 0 ? LOG_OF_ZERO : Math.log(Math.abs(x)));

// What does not change with the numbers: which operands lead to `wrt`, and how many paths there are.
const pathStructure = (graph, wrt) => {
  const operands = new Map([[wrt, []]]);
  const counts = new Map([[wrt, 1n]]);
  for (const node of graph.descendants(wrt)) {
    const leading = [];
    let count = 0n;
    graph.parents[node].forEach((parent, k) => {
      if (!counts.has(parent)) return;
      leading.push(k);
      count += counts.get(parent);
    });
    operands.set(node, leading);
    counts.set(node, count);
  }
  return { operands, count: counts.get(graph.output) ?? 0n };
};

// The `limit` paths with the largest |contribution|, and the sum of all others.
const largestPaths = (graph, wrt, { operands, count }, limit) => {
  if (count === 0n) return { listed: [], count, remainder: 0 };
  const best = new Map();
  const size = new Map([[wrt, 0]]);
  const total = new Map([[wrt, 1]]);
  for (const [node, leading] of operands) {
    if (node === wrt) continue;
    const local = graph.locals[node];
    let largest = -Infinity;
    let choice = leading[0];
    let sum = 0;
    for (const k of leading) {
      const parent = graph.parents[node][k];
      const measure = logSize(local[k]) + size.get(parent);
      if (measure > largest) [largest, choice] = [measure, k];
      sum += local[k] * total.get(parent);
    }
    best.set(node, choice);
    size.set(node, largest);
    total.set(node, sum);
  }
  const heap = new Heap();
  let order = 0;
  const push = (steps, node, product, passed) =>
    heap.push({ key: -(passed + size.get(node)), order: order++, steps, node, product, passed });
  push(null, graph.output, 1, 0);
  const listed = [];
  while (heap.length && listed.length < limit) {
    let { steps, node, product, passed } = heap.pop();
    while (node !== wrt) {
      let follow = null;
      for (const k of operands.get(node)) {
        const local = graph.locals[node][k];
        const branch = [{ before: steps, node, operand: k }, graph.parents[node][k], product * local, passed + logSize(local)];
        if (k === best.get(node)) follow = branch;
        else push(...branch);
      }
      [steps, node, product, passed] = follow;
    }
    listed.push(unwound(steps, wrt, product));
  }
  const weight = (path) => (Number.isNaN(path.contribution) ? -Infinity : -Math.abs(path.contribution));
  listed.sort((p, q) => (weight(p) < weight(q) ? -1 : weight(p) > weight(q) ? 1 : 0));
  const remainder = exactSum(heap.items.map((branch) => branch.product * total.get(branch.node)));
  return { listed, count, remainder };
};

const unwound = (steps, wrt, contribution) => {
  const nodes = [wrt];
  const operands = [];
  for (; steps !== null; steps = steps.before) {
    nodes.push(steps.node);
    operands.push(steps.operand);
  }
  return { nodes: nodes.reverse(), operands: operands.reverse(), contribution };
};

// The sum, rounded once where the numbers are finite (Shewchuk): `parts` together are the sum exactly.
const exactSum = (numbers) => {
  const parts = [];
  for (let x of numbers) {
    if (!Number.isFinite(x)) return numbers.reduce((sum, y) => sum + y, 0);
    let count = 0;
    for (let y of parts) {
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low) parts[count++] = low;
      x = high;
    }
    parts.length = count;
    parts.push(x);
  }
  let sum = 0;
  let low = 0;
  while (parts.length && low === 0) {
    const [x, y] = [sum, parts.pop()];
    sum = x + y;
    low = y - (sum - x);
  }
  // Where the last rounding was a tie, the parts below it decide.
  if (parts.length && Math.sign(low) === Math.sign(parts.at(-1)) && sum + 2 * low - sum === 2 * low) sum += 2 * low;
  return sum;
};

// A priority queue: the smallest key first, among equals the one that came first.
class Heap {
  items = [];

  get length() {
    return this.items.length;
  }

  push(item) {
    this.items.push(item);
    for (let i = this.items.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.before(i, parent)) return;
      this.swap(i, parent);
      i = parent;
    }
  }

  pop() {
    const first = this.items[0];
    const last = this.items.pop();
    if (this.items.length) {
      this.items[0] = last;
      for (let i = 0; ; ) {
        let least = i;
        for (const child of [2 * i + 1, 2 * i + 2]) if (child < this.length && this.before(child, least)) least = child;
        if (least === i) break;
        this.swap(i, least);
        i = least;
      }
    }
    return first;
  }

  before(i, j) {
    const [a, b] = [this.items[i], this.items[j]];
    return a.key !== b.key ? a.key < b.key : a.order < b.order;
  }

  swap(i, j) {
    [this.items[i], this.items[j]] = [this.items[j], this.items[i]];
  }
}

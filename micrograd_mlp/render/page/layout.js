// Where boxes stand: in columns from left to right, after Sugiyama. Every box stands to the right of what it is
// computed from; an edge across several columns runs through a lane in each; columns are ordered so that few
// edges cross, and each box then moves as close to its neighbours as the order allows.

const LAYOUT = { gapX: [32, 120], perEdge: 2.4, gapY: 10, lane: 14, sweeps: 12, longest: 40 };

// `boxes` have width, height, a `rank` for the first order from top to bottom and a `load`, the number of edges
// that enter. They stand after their `sources` (positions in the same list). `keepOrder` keeps that order. Sets x and y (the middle of the left side) of each box, and returns
// width, height and the way of an edge: the lanes between the columns of its two ends.
const layOut = (boxes, sources, keepOrder) => {
  const columnOf = columnsOf(sources);
  const { columns, links } = slotsOf(sources, columnOf, (i) => boxes[i].rank);
  if (!keepOrder) reduceCrossings(columns, links);
  const heightOf = (slot) => (slot.box === null ? LAYOUT.lane : boxes[slot.box].height + LAYOUT.gapY);
  placeSlots(columns, links, heightOf);

  let top = Infinity;
  let bottom = -Infinity;
  for (const slot of columns.flat()) {
    top = Math.min(top, slot.y - heightOf(slot) / 2);
    bottom = Math.max(bottom, slot.y + heightOf(slot) / 2);
  }
  let x = 0;
  let right = 0;
  const lanes = new Map();
  columns.forEach((column, c) => {
    const width = Math.max(0, ...column.map((slot) => (slot.box === null ? 0 : boxes[slot.box].width)));
    for (const slot of column) {
      slot.y -= top;
      if (slot.box === null) lanes.set(`${slot.source}:${c}`, { x, width, y: slot.y });
      else Object.assign(boxes[slot.box], { x: x + (boxes[slot.box].isLeaf ? width - boxes[slot.box].width : 0), y: slot.y });
    }
    right = x + width;
    // Many edges into the next column need room to spread.
    const count = (columns[c + 1] ?? []).reduce((sum, slot) => sum + (slot.box === null ? 1 : boxes[slot.box].load), 0);
    x = right + clamp(LAYOUT.gapX[0] + LAYOUT.perEdge * count, ...LAYOUT.gapX);
  });
  const way = (source, target) => {
    const passed = [];
    for (let c = columnOf[source] + 1; c < columnOf[target]; c++) {
      const lane = lanes.get(`${source}:${c}`);
      if (lane) passed.push(lane);
    }
    return passed;
  };
  return { width: right, height: bottom - top, way };
};

// Operations to the right of all their sources, leaves right before their first use.
const columnsOf = (sources) => {
  const columns = new Array(sources.length).fill(0);
  const firstUse = new Array(sources.length).fill(Infinity);
  sources.forEach((own, i) => {
    for (const s of own) columns[i] = Math.max(columns[i], columns[s] + 1);
    for (const s of own) firstUse[s] = Math.min(firstUse[s], columns[i]);
  });
  sources.forEach((own, i) => {
    if (!own.length && firstUse[i] < Infinity) columns[i] = firstUse[i] - 1;
  });
  return columns;
};

// What stands in each column, and what is linked to what in the next; all edges of a box share its lanes.
const slotsOf = (sources, columnOf, rankOf) => {
  const columns = Array.from({ length: 1 + Math.max(0, ...columnOf) }, () => []);
  const links = new Map();
  const link = (a, b) => {
    if (!links.has(a)) links.set(a, new Set());
    if (!links.has(b)) links.set(b, new Set());
    links.get(a).add(b);
    links.get(b).add(a);
  };
  const own = sources.map((_, i) => {
    const slot = { box: i, source: i, column: columnOf[i], y: 0 };
    columns[columnOf[i]].push(slot);
    return slot;
  });
  const lanes = sources.map(() => []);
  sources.forEach((of, i) => {
    for (const s of new Set(of)) {
      let here = own[s];
      if (columnOf[i] - columnOf[s] <= LAYOUT.longest) {
        for (let c = columnOf[s] + 1; c < columnOf[i]; c++) {
          if (!lanes[s][c]) {
            lanes[s][c] = { box: null, source: s, column: c, y: 0 };
            columns[c].push(lanes[s][c]);
          }
          link(here, lanes[s][c]);
          here = lanes[s][c];
        }
        link(here, own[i]);
      }
    }
  });
  for (const column of columns) column.sort((a, b) => rankOf(a.source) - rankOf(b.source));
  return { columns, links };
};

// Orders every column by the middle of its neighbours, to and fro, and keeps the best order seen.
const reduceCrossings = (columns, links) => {
  const size = columns.reduce((sum, column) => sum + column.length, 0);
  const sweeps = size > 4000 ? 2 : LAYOUT.sweeps;
  const rank = new Map();
  const rerank = (column) => column.forEach((slot, i) => rank.set(slot, i));
  columns.forEach(rerank);
  let best = columns.map((column) => [...column]);
  let fewest = crossings(columns, links, rank);
  for (let sweep = 0; sweep < sweeps && fewest > 0; sweep++) {
    const forward = sweep % 2 === 0;
    for (let n = 1; n < columns.length; n++) {
      const c = forward ? n : columns.length - 1 - n;
      const side = forward ? c - 1 : c + 1;
      const middle = new Map();
      for (const slot of columns[c]) {
        let sum = 0;
        let count = 0;
        for (const other of links.get(slot) ?? []) {
          if (other.column !== side) continue;
          sum += rank.get(other);
          count += 1;
        }
        middle.set(slot, count ? sum / count : rank.get(slot));
      }
      columns[c].sort((a, b) => middle.get(a) - middle.get(b) || rank.get(a) - rank.get(b));
      rerank(columns[c]);
    }
    const count = crossings(columns, links, rank);
    if (count < fewest) {
      fewest = count;
      best = columns.map((column) => [...column]);
    }
  }
  best.forEach((column, c) => (columns[c] = column));
};

// How many pairs of links between neighbouring columns cross, counted with a Fenwick tree.
const crossings = (columns, links, rank) => {
  let count = 0;
  for (let c = 0; c + 1 < columns.length; c++) {
    const tree = new Int32Array(columns[c + 1].length + 1);
    let added = 0;
    for (const slot of columns[c]) {
      const ends = [];
      for (const other of links.get(slot) ?? []) if (other.column === c + 1) ends.push(rank.get(other));
      for (const end of ends) {
        let below = 0;
        for (let i = end + 1; i > 0; i -= i & -i) below += tree[i];
        count += added - below;
      }
      for (const end of ends) for (let i = end + 1; i < tree.length; i += i & -i) tree[i] += 1;
      added += ends.length;
    }
  }
  return count;
};

// Heights: each slot as near to the mean of its neighbours as order and size allow.
const placeSlots = (columns, links, heightOf) => {
  for (const column of columns) separate(column, column.map(() => 0), heightOf);
  const size = columns.reduce((sum, column) => sum + column.length, 0);
  const sweeps = size > 4000 ? 4 : LAYOUT.sweeps;
  for (let sweep = 0; sweep < sweeps; sweep++) {
    for (const column of sweep % 2 ? columns : [...columns].reverse()) {
      const wanted = column.map((slot) => {
        const near = [...(links.get(slot) ?? [])];
        return near.length ? near.reduce((sum, other) => sum + other.y, 0) / near.length : slot.y;
      });
      separate(column, wanted, heightOf);
    }
  }
};

// The heights closest to the wanted ones by least squares, in this order and without overlap: slots that push
// each other form a block, which sits at the mean of what its members want.
const separate = (column, wanted, heightOf) => {
  const blocks = [];
  let offset = 0;
  column.forEach((slot, i) => {
    if (i) offset += (heightOf(column[i - 1]) + heightOf(slot)) / 2;
    let block = { wish: wanted[i] - offset, members: 1 };
    slot.offset = offset;
    while (blocks.length && blocks.at(-1).wish / blocks.at(-1).members > block.wish / block.members) {
      const above = blocks.pop();
      block = { wish: above.wish + block.wish, members: above.members + block.members };
    }
    blocks.push(block);
  });
  let i = 0;
  for (const block of blocks) {
    for (let k = 0; k < block.members; k++, i++) column[i].y = block.wish / block.members + column[i].offset;
  }
};

// The wait-for graph as numbers: cycles as rings on the left, whoever waits for them in columns to
// the right, each beside whom it waits for. The same waits always stand at the same places. Pure.
export const BOX = { width: 176, height: 44 };
const NODES_MAX = 60, LEFT = 28, TOP = 28, GAP_Y = 26, GAP_X = 108, LABEL_MAX = 24, BOW = 46;

export const shorten = (text, most) => (text.length <= most ? text : `…${text.slice(1 - most)}`);
// The part of a context that tells it from others: what stands before is its kind.
export const contextName = (context) => context.slice(context.indexOf(":") + 1);

function nodesOf(edges) {
  const nodes = new Map();
  for (const edge of edges) {
    for (const [id, owner] of [[edge.waiter, edge.waiter_owner], [edge.holder, edge.holder_owner]]) {
      if (!nodes.has(id)) nodes.set(id, { id, owner, since: null, key: null });
    }
    Object.assign(nodes.get(edge.waiter), { since: edge.since, key: edge.key });
  }
  return nodes;
}

// Only what is in a cycle, or stuck behind one.
export function stuckOnly({ edges, cycles, behind }) {
  const stuck = new Set([...behind, ...cycles.flat().map((i) => edges[i].waiter)]);
  const kept = edges.map((edge, i) => [edge, i]).filter(([edge]) => stuck.has(edge.waiter) && stuck.has(edge.holder));
  const place = new Map(kept.map(([, i], at) => [i, at]));
  return { edges: kept.map(([edge]) => edge), cycles: cycles.map((cycle) => cycle.map((i) => place.get(i))), behind };
}

function ring(ids, left, top) {
  const count = ids.length;
  if (count === 1) return { at: new Map([[ids[0], [left, top]]]), right: left + BOX.width, bottom: top + BOX.height + 40, centre: [left + BOX.width / 2, top + BOX.height / 2] };
  if (count === 2) {
    const at = new Map([[ids[0], [left, top]], [ids[1], [left, top + 190]]]);
    return { at, right: left + BOX.width + 60, bottom: top + 190 + BOX.height, centre: null };
  }
  const rx = Math.max(150, count * 44), ry = Math.max(130, count * 32);
  const squeeze = count === 3 ? 0.66 : 1;
  const at = new Map();
  ids.forEach((id, i) => {
    // The first stands at the top on the left, and the last at the right, where others come from.
    const angle = 2 * Math.PI * ((i + 1) / count);
    at.set(id, [left + rx * squeeze + rx * Math.cos(angle) * (Math.cos(angle) < 0 && count === 3 ? 2 * squeeze : 1), top + ry * 0.87 - ry * Math.sin(angle) * (count === 3 ? 1 : 0.87)]);
  });
  const xs = [...at.values()].map(([x]) => x), ys = [...at.values()].map(([, y]) => y);
  const [dx, dy] = [left - Math.min(...xs), top - Math.min(...ys)];
  for (const [id, [x, y]] of at) at.set(id, [x + dx, y + dy]);
  const right = Math.max(...xs) + dx + BOX.width, bottom = Math.max(...ys) + dy + BOX.height;
  return { at, right, bottom, centre: [(left + right) / 2, (top + bottom) / 2] };
}

// Where a line from the middle of a box towards a point leaves the box.
function border([x, y], [tx, ty], gap = 0) {
  const [cx, cy] = [x + BOX.width / 2, y + BOX.height / 2];
  const [dx, dy] = [tx - cx, ty - cy];
  const reach = Math.min(dx === 0 ? Infinity : (BOX.width / 2 + gap) / Math.abs(dx), dy === 0 ? Infinity : (BOX.height / 2 + gap) / Math.abs(dy), 1);
  return [cx + dx * reach, cy + dy * reach];
}

const middleOf = ([x, y]) => [x + BOX.width / 2, y + BOX.height / 2];

function curve(from, to, centre) {
  const [ax, ay] = middleOf(from), [bx, by] = middleOf(to);
  const [mx, my] = [(ax + bx) / 2, (ay + by) / 2];
  const length = Math.hypot(bx - ax, by - ay) || 1;
  let [nx, ny] = [(by - ay) / length, -(bx - ax) / length];
  if (centre !== null && nx * (mx - centre[0]) + ny * (my - centre[1]) < 0) [nx, ny] = [-nx, -ny];
  const bow = centre === null ? BOW * 2 : BOW;
  const [qx, qy] = [mx + nx * bow, my + ny * bow];
  const start = border(from, [qx, qy]), end = border(to, [qx, qy], 3);
  const label = [(start[0] + 2 * qx + end[0]) / 4, (start[1] + 2 * qy + end[1]) / 4];
  return { d: `M${start[0]} ${start[1]}Q${qx} ${qy} ${end[0]} ${end[1]}`, label };
}

function loop([x, y]) {
  const right = x + BOX.width, mid = y + BOX.height / 2;
  return { d: `M${right} ${mid - 10}C${right + 70} ${mid - 40} ${right + 70} ${mid + 40} ${right + 3} ${mid + 10}`, label: [right + 53, mid] };
}

function straight(from, to) {
  const start = border(from, middleOf(to)), end = border(to, middleOf(from), 3);
  return { d: `M${start[0]} ${start[1]}L${end[0]} ${end[1]}`, label: [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2] };
}

// How far each is from what it waits for in the end.
function depths(nodes, edges, rooted) {
  const depth = new Map([...rooted].map((id) => [id, 0]));
  const waits = new Set(edges.map((edge) => edge.waiter));
  for (const id of nodes.keys()) if (!waits.has(id)) depth.set(id, 0);
  for (let front = [...depth.keys()]; front.length > 0;) {
    const next = [];
    for (const edge of edges) {
      if (depth.has(edge.waiter) || !front.includes(edge.holder)) continue;
      depth.set(edge.waiter, depth.get(edge.holder) + 1);
      next.push(edge.waiter);
    }
    front = next;
  }
  return depth;
}

export function layout(graph) {
  const nodes = nodesOf(graph.edges);
  const at = new Map(), centres = new Map();
  let right = LEFT, bottom = TOP;
  const cycles = graph.cycles.map((cycle) => cycle.map((i) => graph.edges[i]));
  for (const cycle of cycles) {
    const placed = ring(cycle.map((edge) => edge.waiter), LEFT, bottom);
    for (const [id, point] of placed.at) at.set(id, point);
    for (const edge of cycle) centres.set(edge, placed.centre);
    right = Math.max(right, placed.right);
    bottom = placed.bottom + GAP_Y * 2;
  }
  const depth = depths(nodes, graph.edges, at.keys());
  const columns = [];
  // Those who are stuck for other reasons than a wait that is drawn stand in the first column, too.
  for (const id of nodes.keys()) if (!at.has(id)) (columns[depth.get(id) ?? 0] ??= []).push(id);
  let drawn = at.size, x = LEFT;
  for (let i = 0; i < columns.length; i += 1) {
    const ids = (columns[i] ?? []).slice(0, Math.max(0, NODES_MAX - drawn));
    drawn += ids.length;
    const wish = new Map(ids.map((id) => {
      const targets = graph.edges.filter((edge) => edge.waiter === id && at.has(edge.holder)).map((edge) => at.get(edge.holder)[1]);
      return [id, targets.length ? targets.reduce((sum, y) => sum + y, 0) / targets.length : bottom];
    }));
    ids.sort((a, b) => wish.get(a) - wish.get(b) || (a < b ? -1 : 1));
    if (i > 0) x = i === 1 ? Math.max(right, LEFT + BOX.width) + GAP_X : x + BOX.width + GAP_X;
    // Beside whom they wait for, as a block around its middle, and never over one another.
    let free = i === 0 ? bottom : TOP;
    for (let start = 0; start < ids.length;) {
      let end = start;
      while (end < ids.length && wish.get(ids[end]) === wish.get(ids[start])) end += 1;
      const height = (end - start) * (BOX.height + GAP_Y) - GAP_Y;
      let y = i === 0 ? free : Math.max(free, wish.get(ids[start]) + BOX.height / 2 - height / 2);
      for (const id of ids.slice(start, end)) {
        at.set(id, [x, y]);
        y += BOX.height + GAP_Y;
      }
      free = y;
      start = end;
    }
  }
  return picture({ graph, nodes, at, centres, cycles, left: nodes.size - at.size });
}

function picture({ graph, nodes, at, centres, cycles, left }) {
  const numbers = new Map(cycles.flatMap((cycle) => cycle.map((edge, i) => [edge, i + 1])));
  const inCycle = new Set(cycles.flat().map((edge) => edge.waiter));
  const stuck = new Set(graph.behind);
  const edges = graph.edges.filter((edge) => at.has(edge.waiter) && at.has(edge.holder)).map((edge) => {
    const [from, to] = [at.get(edge.waiter), at.get(edge.holder)];
    const number = numbers.get(edge) ?? null;
    const line = edge.waiter === edge.holder ? loop(from) : number === null ? straight(from, to) : curve(from, to, centres.get(edge));
    return { key: `${edge.waiter}\n${edge.holder}\n${edge.key}`, ...line, number, any: edge.any_of, text: shorten(edge.name, LABEL_MAX) };
  });
  const boxes = [...at].map(([id, [x, y]]) => ({ ...nodes.get(id), x, y, hue: inCycle.has(id) ? "cyc" : stuck.has(id) ? "stuck" : "" }));
  const reach = edges.map((edge) => edge.label[0] + edge.text.length * 6.6 + 24);
  return {
    boxes, edges, left,
    width: Math.max(0, ...boxes.map((box) => box.x + BOX.width), ...reach) + LEFT,
    height: Math.max(0, ...boxes.map((box) => box.y + BOX.height), ...edges.map((edge) => edge.label[1])) + TOP,
  };
}

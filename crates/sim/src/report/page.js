'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const [NUMBER, TIME, LANE, KIND, TEXT, TASK, MESSAGE] = [0, 1, 2, 3, 4, 5, 6];
const [CHECK, FAULT, NODE] = [0, 1, 2];
const HIDDEN_AT_FIRST = new Set(['tasks', 'timers and draws']);
const byId = id => document.getElementById(id);
const chart = byId('chart'), canvas = byId('canvas'), pen = canvas.getContext('2d');
const shown = data.kinds.map(kind => !HIDDEN_AT_FIRST.has(kind));
let visible = [], chosen = null, from = 0, span = 1, colours = {};

const ends = new Map();
data.marks.forEach(mark => {
  if (mark[MESSAGE] === null) return;
  const pair = ends.get(mark[MESSAGE]) || [];
  pair.push(mark);
  ends.set(mark[MESSAGE], pair);
});

function seconds(nanos) {
  if (nanos >= 1e9) return (nanos / 1e9).toFixed(6).replace(/0+$/, '').replace(/\.$/, '') + ' s';
  if (nanos >= 1e6) return (nanos / 1e6).toFixed(3) + ' ms';
  if (nanos >= 1e3) return (nanos / 1e3).toFixed(3) + ' µs';
  return nanos + ' ns';
}

function exact(nanos) {
  const text = String(nanos).padStart(10, '0');
  return text.slice(0, -9) + '.' + text.slice(-9) + ' s';
}

function filter() {
  const wanted = byId('find').value.trim().toLowerCase();
  visible = data.marks.filter(mark => shown[mark[KIND]] && (wanted === '' ||
    mark[TEXT].toLowerCase().includes(wanted) || data.lanes[mark[LANE]].toLowerCase().includes(wanted) ||
    String(mark[NUMBER]) === wanted));
  draw();
  list();
}

function showAll() {
  const times = data.marks.map(mark => mark[TIME]);
  from = times.length ? times[0] : 0;
  const last = Math.max(data.end, times.length ? times[times.length - 1] : 0);
  span = Math.max(last - from, 1000);
  from -= span * 0.02;
  span *= 1.04;
  draw();
}

const LEFT = 8, TOP = 26;
const xOf = time => LEFT + (time - from) / span * (chart.clientWidth - 2 * LEFT);
const timeOf = x => from + (x - LEFT) / (chart.clientWidth - 2 * LEFT) * span;
const laneHeight = () => Math.max((chart.clientHeight - TOP) / data.lanes.length, 24);
const yOf = lane => TOP + (lane + 0.5) * laneHeight();

function firstAt(time) {
  let low = 0, high = visible.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (visible[middle][TIME] < time) low = middle + 1; else high = middle;
  }
  return low;
}

function draw() {
  const scale = window.devicePixelRatio || 1, width = chart.clientWidth, height = chart.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue('--' + name).trim();
  colours = { ink: colour('ink'), faint: colour('faint'), line: colour('line'), arrow: colour('arrow'),
    choice: colour('choice'), down: colour('down'), paused: colour('paused') };
  const kindColours = data.kinds.map((_, kind) => colour('k' + Math.min(kind, 6)));
  pen.clearRect(0, 0, width, height);
  drawScale(width, height);
  drawLanes(width);
  const first = Math.max(firstAt(from) - 1, 0), last = firstAt(from + span);
  const seen = visible.slice(first, Math.min(last + 1, visible.length));
  drawArrows(seen);
  // What matters most lies on top.
  for (let kind = data.kinds.length - 1; kind >= 0; kind--) {
    let lastX = {};
    seen.forEach(mark => {
      if (mark[KIND] !== kind) return;
      const x = xOf(mark[TIME]), key = mark[LANE];
      // Marks that would cover each other are drawn once.
      if (kind > NODE && lastX[key] !== undefined && x - lastX[key] < 0.7) return;
      lastX[key] = x;
      drawMark(mark, x, yOf(mark[LANE]), kindColours[kind]);
    });
  }
  if (chosen) drawChoice();
}

function drawScale(width, height) {
  const wanted = span / Math.max(width / 110, 2), power = Math.pow(10, Math.floor(Math.log10(wanted)));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(step => step >= wanted);
  pen.font = '11px system-ui, sans-serif';
  pen.textBaseline = 'top';
  for (let time = Math.ceil(Math.max(from, 0) / step) * step; time <= from + span; time += step) {
    const x = xOf(time);
    pen.fillStyle = colours.line;
    pen.fillRect(Math.round(x), TOP - 6, 1, height - TOP + 6);
    pen.fillStyle = colours.faint;
    pen.fillText(seconds(Math.round(time)), Math.min(x + 3, width - 60), 4);
  }
}

function drawLanes(width) {
  data.lanes.forEach((_, lane) => {
    pen.fillStyle = colours.faint;
    pen.fillRect(0, Math.round(yOf(lane)), width, 1);
  });
  const since = {};
  const fill = (lane, what, start, end) => {
    if (what !== 'down' && what !== 'paused') return;
    pen.fillStyle = colours[what];
    pen.fillRect(xOf(start), yOf(lane) - 9, Math.max(xOf(end) - xOf(start), 1), 18);
  };
  data.marks.forEach(mark => {
    if (mark[KIND] !== NODE) return;
    const before = since[mark[LANE]];
    if (before) fill(mark[LANE], before[0], before[1], mark[TIME]);
    const what = mark[TEXT].startsWith('goes down') ? 'down' : mark[TEXT].startsWith('stands') ? 'paused' : 'up';
    since[mark[LANE]] = [what, mark[TIME]];
  });
  Object.entries(since).forEach(([lane, [what, start]]) => fill(+lane, what, start, Math.max(data.end, start)));
}

function drawArrows(seen) {
  const drawn = new Set();
  pen.lineWidth = 1;
  let budget = 4000;
  for (const mark of seen) {
    const pair = mark[MESSAGE] !== null && ends.get(mark[MESSAGE]);
    if (!pair || pair.length < 2 || drawn.has(mark[MESSAGE]) || budget-- < 0) continue;
    drawn.add(mark[MESSAGE]);
    for (const end of pair.slice(1)) drawArrow(pair[0], end, chosen && chosen[MESSAGE] === mark[MESSAGE]);
  }
}

function drawArrow(start, end, isChosen) {
  const [x0, y0, x1, y1] = [xOf(start[TIME]), yOf(start[LANE]), xOf(end[TIME]), yOf(end[LANE])];
  pen.strokeStyle = pen.fillStyle = isChosen ? colours.choice : colours.arrow;
  pen.globalAlpha = isChosen ? 1 : 0.6;
  pen.setLineDash(end[TEXT].includes('will not come') ? [4, 3] : []);
  pen.beginPath();
  pen.moveTo(x0, y0);
  const bulge = y0 === y1 ? 18 : 0;
  pen.quadraticCurveTo((x0 + x1) / 2, (y0 + y1) / 2 - bulge, x1, y1);
  pen.stroke();
  pen.setLineDash([]);
  if (Math.hypot(x1 - x0, y1 - y0) > 14) {
    const angle = Math.atan2(y1 - y0 + bulge, x1 - x0);
    pen.beginPath();
    pen.moveTo(x1, y1);
    for (const side of [-0.4, 0.4]) pen.lineTo(x1 - 8 * Math.cos(angle + side), y1 - 8 * Math.sin(angle + side));
    pen.fill();
  }
  pen.globalAlpha = 1;
}

function drawMark(mark, x, y, colour) {
  pen.fillStyle = pen.strokeStyle = colour;
  if (mark[KIND] === CHECK) {
    pen.lineWidth = 3;
    pen.beginPath();
    pen.moveTo(x - 7, y - 7); pen.lineTo(x + 7, y + 7);
    pen.moveTo(x + 7, y - 7); pen.lineTo(x - 7, y + 7);
    pen.stroke();
    pen.fillRect(x - 0.75, TOP, 1.5, chart.clientHeight - TOP);
    pen.lineWidth = 1;
  } else if (mark[KIND] === FAULT) {
    pen.beginPath();
    pen.moveTo(x, y - 8); pen.lineTo(x + 7, y + 5); pen.lineTo(x - 7, y + 5);
    pen.fill();
  } else if (mark[KIND] === NODE) {
    pen.fillRect(x - 4, y - 4, 8, 8);
  } else {
    pen.beginPath();
    pen.arc(x, y, 3, 0, 2 * Math.PI);
    pen.fill();
  }
}

function drawChoice() {
  pen.strokeStyle = colours.choice;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(xOf(chosen[TIME]), yOf(chosen[LANE]), 11, 0, 2 * Math.PI);
  pen.stroke();
  pen.lineWidth = 1;
}

function element(name, text, properties) {
  const made = Object.assign(document.createElement(name), properties || {});
  made.textContent = text;
  return made;
}

function choose(mark, bringIntoView) {
  chosen = mark;
  if (bringIntoView && mark && (mark[TIME] < from || mark[TIME] > from + span)) from = mark[TIME] - span / 2;
  const details = byId('details');
  details.replaceChildren();
  if (mark) {
    details.append(element('h2', mark[TEXT]));
    const facts = document.createElement('dl');
    const fact = (name, value) => facts.append(element('dt', name), element('dd', value));
    fact('event', mark[NUMBER]);
    fact('time', exact(mark[TIME]));
    fact('on', data.lanes[mark[LANE]]);
    if (mark[TASK] !== null) fact('task', mark[TASK]);
    fact('kind', data.kinds[mark[KIND]]);
    const pair = mark[MESSAGE] !== null && ends.get(mark[MESSAGE]);
    if (pair && pair.length > 1) fact('under way', seconds(pair[pair.length - 1][TIME] - pair[0][TIME]));
    details.append(facts);
  }
  draw();
  list();
}

function list() {
  const middle = chosen ? firstAt(chosen[TIME]) : firstAt(from);
  const rows = visible.slice(Math.max(middle - 40, 0), middle + 80).map(mark => {
    const row = document.createElement('li');
    const text = exact(mark[TIME]) + '  ' + data.lanes[mark[LANE]] + '  ' + mark[TEXT];
    const button = element('button', text, { type: 'button', title: text });
    button.style.borderLeftColor = 'var(--k' + Math.min(mark[KIND], 6) + ')';
    if (mark === chosen) button.setAttribute('aria-current', 'true');
    button.onclick = () => choose(mark, true);
    row.append(button);
    return row;
  });
  byId('list').replaceChildren(...rows);
  const current = byId('list').querySelector('[aria-current]');
  if (current && current.scrollIntoView) current.scrollIntoView({ block: 'nearest' });
}

function nearest(x, y) {
  let best = null, bestDistance = 15;
  const first = firstAt(timeOf(x - 15)), last = firstAt(timeOf(x + 15));
  for (const mark of visible.slice(first, last + 1)) {
    const distance = Math.hypot(xOf(mark[TIME]) - x, yOf(mark[LANE]) - y) + mark[KIND] * 0.1;
    if (distance < bestDistance) [best, bestDistance] = [mark, distance];
  }
  return best;
}

function zoom(factor, x) {
  const centre = timeOf(x);
  span = Math.min(Math.max(span * factor, 100), 4 * Math.max(data.end, 1000));
  from = centre - (x - LEFT) / (chart.clientWidth - 2 * LEFT) * span;
  draw();
}

function walk(step) {
  if (!visible.length) return;
  const at = chosen ? visible.indexOf(chosen) : -1;
  const next = at >= 0 ? at + step : Math.min(firstAt(chosen ? chosen[TIME] : from), visible.length - 1);
  choose(visible[Math.min(Math.max(next, 0), visible.length - 1)], true);
}

function toFailure() {
  const failure = data.marks.find(mark => mark[KIND] === CHECK) || data.marks.find(mark => mark[KIND] === FAULT);
  if (failure) { from = failure[TIME] - span / 2; choose(failure, true); }
}

let dragged = null;
canvas.onpointerdown = event => {
  dragged = { x: event.offsetX, from, moved: false };
  canvas.setPointerCapture(event.pointerId);
};
canvas.onpointermove = event => {
  if (!dragged) return;
  if (Math.abs(event.offsetX - dragged.x) > 3) dragged.moved = true;
  if (!dragged.moved) return;
  from = dragged.from - (event.offsetX - dragged.x) / (chart.clientWidth - 2 * LEFT) * span;
  draw();
};
canvas.onpointerup = event => {
  if (dragged && !dragged.moved) choose(nearest(event.offsetX, event.offsetY), false);
  dragged = null;
};
canvas.addEventListener('wheel', event => {
  event.preventDefault();
  if (event.shiftKey || event.deltaX) {
    from += (event.deltaX || event.deltaY) / chart.clientWidth * span;
    draw();
  } else zoom(Math.pow(1.0015, event.deltaY), event.offsetX);
}, { passive: false });
const keys = {
  ArrowLeft: () => walk(-1), ArrowRight: () => walk(1), '+': () => zoom(0.5, chart.clientWidth / 2),
  '=': () => zoom(0.5, chart.clientWidth / 2), '-': () => zoom(2, chart.clientWidth / 2), 0: showAll, f: toFailure,
};
chart.onkeydown = event => {
  const act = keys[event.key];
  if (act && !event.ctrlKey && !event.metaKey) { event.preventDefault(); act(); }
};
byId('in').onclick = keys['+'];
byId('out').onclick = keys['-'];
byId('all').onclick = showAll;
byId('failure').onclick = toFailure;
byId('find').oninput = filter;
byId('filters').onsubmit = event => event.preventDefault();

data.kinds.forEach((kind, number) => {
  const count = data.marks.filter(mark => mark[KIND] === number).length;
  if (!count) return;
  const label = document.createElement('label'), box = document.createElement('input'), patch = document.createElement('i');
  Object.assign(box, { type: 'checkbox', checked: shown[number], onchange: () => { shown[number] = box.checked; filter(); } });
  patch.style.background = 'var(--k' + Math.min(number, 6) + ')';
  label.append(box, patch, kind + ' (' + count + ')');
  byId('kinds').append(label);
});
data.lanes.forEach((name, lane) => {
  const label = element('span', name, { title: name });
  byId('lanes').append(label);
});
function place() {
  [...byId('lanes').children].forEach((label, lane) => { label.style.top = (yOf(lane) - laneHeight() * 0.32) + 'px'; });
  draw();
}
byId('summary').textContent = 'Seed ' + data.seed + ', ' + data.total + ' events in ' + seconds(data.end) +
  (data.leftOut ? '; the first ' + data.leftOut + ' are left out' : '');
window.onresize = place;
window.matchMedia('(prefers-color-scheme: dark)').onchange = draw;
showAll();
place();
filter();
if (data.marks.some(mark => mark[KIND] === CHECK)) toFailure();

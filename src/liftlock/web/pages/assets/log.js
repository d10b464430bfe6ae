// The log: draws the lines that are in view and asks the server for the rest; follows it while it grows.
// Lines come from the server as escaped text with spans of known classes.
const HEIGHT = 18, BLOCK = 200, MOST_PX = 8_000_000, KEPT = 60;
const box = document.getElementById("log");
const base = box.dataset.base;
let known = Number(box.dataset.known), whole = box.dataset.whole === "yes";
let marked = null, sticking = false, drawing = false;
const blocks = new Map(), asked = new Set();
const pad = document.createElement("div"), win = document.createElement("div");
const stick = document.getElementById("stick");

function seed() {
  const start = Number(box.dataset.start);
  [...box.querySelectorAll(".ln .tx")].forEach((text, i) => put(start + i, text.innerHTML));
  pad.className = "log-pad"; win.className = "log-window";
  pad.append(win);
  box.replaceChildren(pad);
  box.classList.add("virtual");
  document.getElementById("log-pager").remove();
  document.getElementById("log-stick").hidden = false;
}

function put(line, html) {
  const at = Math.floor(line / BLOCK);
  if (!blocks.has(at)) blocks.set(at, []);
  blocks.get(at)[line % BLOCK] = html;
}

const total = () => known * HEIGHT;
const drawn = () => Math.min(total(), MOST_PX);
// A very long log is taller than browsers allow: then the scroll bar stands for a share of it.
const scale = () => (drawn() > box.clientHeight ? (total() - box.clientHeight) / (drawn() - box.clientHeight) : 1);
const first = () => Math.max(0, Math.floor((box.scrollTop * scale()) / HEIGHT));
const visible = () => Math.ceil(box.clientHeight / HEIGHT) + 2;

function size() { pad.style.height = `${drawn()}px`; document.getElementById("log-count").textContent = known.toLocaleString("en"); }

function show(line) { box.scrollTop = Math.max(0, (line - 3) * HEIGHT) / scale(); draw(); }
function end() { box.scrollTop = box.scrollHeight; }

async function need(at) {
  if (asked.has(at)) return;
  asked.add(at);
  try {
    const answer = await fetch(`${base}/lines?start=${at * BLOCK}&count=${BLOCK}`);
    if (answer.ok) {
      const said = await answer.json();
      said.lines.forEach((html, i) => put(said.start + i, html));
      grow(said);
    }
  } finally { asked.delete(at); }
  forget(at);
  draw();
}

function forget(near) {
  if (blocks.size <= KEPT) return;
  const far = [...blocks.keys()].sort((a, b) => Math.abs(b - near) - Math.abs(a - near));
  for (const at of far.slice(0, blocks.size - KEPT)) blocks.delete(at);
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const top = first(), stop = Math.min(known, top + visible());
    const rows = document.createDocumentFragment();
    for (let line = top; line < stop; line++) {
      const html = blocks.get(Math.floor(line / BLOCK))?.[line % BLOCK];
      if (html === undefined) need(Math.floor(line / BLOCK));
      const row = document.createElement("div"), no = document.createElement("a"), text = document.createElement("span");
      row.className = marked && line >= marked[0] && line <= marked[1] ? "ln marked" : "ln";
      row.id = `L${line + 1}`;
      no.className = "no"; no.href = `#L${line + 1}`; no.textContent = line + 1;
      text.className = "tx"; text.innerHTML = html ?? "…";
      row.append(no, text);
      rows.append(row);
    }
    win.style.transform = `translateY(${drawn() >= total() ? top * HEIGHT : box.scrollTop}px)`;
    win.replaceChildren(rows);
  });
}

function grow(said) {
  if (said.known < known) return;
  known = said.known;
  whole = said.whole;
  size();
}

function fromHash() {
  const found = /^#L(\d{1,12})(?:-L(\d{1,12}))?$/.exec(location.hash);
  if (!found) return;
  const a = Number(found[1]) - 1, b = Number(found[2] ?? found[1]) - 1;
  marked = [Math.min(a, b), Math.max(a, b)];
  sticking = stick.checked = false;
  show(marked[0]);
}

win.addEventListener("click", (event) => {
  const no = event.target.closest("a.no");
  if (!no) return;
  event.preventDefault();
  const line = Number(no.textContent) - 1;
  const range = event.shiftKey && marked ? [Math.min(marked[0], line), Math.max(marked[0], line)] : [line, line];
  marked = range;
  history.replaceState(null, "", range[0] === range[1] ? `#L${line + 1}` : `#L${range[0] + 1}-L${range[1] + 1}`);
  draw();
});
box.addEventListener("scroll", () => {
  const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - HEIGHT;
  if (!atEnd && sticking) sticking = stick.checked = false;
  draw();
});
stick.addEventListener("change", () => { sticking = stick.checked; if (sticking) end(); });
addEventListener("hashchange", fromHash);
addEventListener("resize", draw);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-line]");
  if (!link) return;
  event.preventDefault();
  location.hash = `L${Number(link.dataset.line) + 1}`;
  fromHash();
});

const form = document.querySelector(".log-bar form"), found = document.getElementById("log-found");
let hits = [], hit = -1, asking = "";
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = form.q.value;
  if (!text) return;
  if (text !== asking) {
    const answer = await fetch(`${base}/search?q=${encodeURIComponent(text)}`);
    if (!answer.ok) return;
    const said = await answer.json();
    hits = said.lines; hit = -1; asking = text;
    found.dataset.more = said.more ? "+" : "";
  }
  hit = hits.length ? (hit + 1) % hits.length : -1;
  found.textContent = hits.length ? `${hit + 1} of ${hits.length}${found.dataset.more}` : "nowhere";
  if (hits.length) { history.replaceState(null, "", `#L${hits[hit] + 1}`); fromHash(); }
});

function follow() {
  const stream = new EventSource(`${base}/events?after=${known}`);
  stream.addEventListener("lines", (event) => {
    const said = JSON.parse(event.data);
    said.lines.forEach((html, i) => put(said.start + i, html));
    if (!said.lines.length) for (const at of blocks.keys()) if ((at + 1) * BLOCK > said.start) blocks.delete(at);
    grow(said);
    if (sticking) end();
    draw();
  });
  stream.addEventListener("whole", (event) => {
    grow(JSON.parse(event.data));
    stream.close();
    const tag = document.getElementById("log-live");
    if (tag) tag.textContent = "ended";
    draw();
  });
  addEventListener("pagehide", () => stream.close());
}

seed();
size();
if (location.hash) fromHash();
else if (!whole && document.getElementById("log-live")?.textContent === "live") { sticking = stick.checked = true; end(); }
else if (Number(box.dataset.start)) show(Number(box.dataset.start));
draw();
if (!whole) follow();

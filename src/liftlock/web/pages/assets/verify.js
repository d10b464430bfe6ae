// Verifies in the browser that a row of the audit log is in the signed log: hash, path, checkpoint, signature.
// The key is the server's word; compare it with the one that you keep.
const proof = document.getElementById("proof"), button = document.getElementById("verify");
const hex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const raw = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const same = (a, b) => a.length === b.length && a.every((one, i) => one === b[i]);
const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const sha256 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data));
const node = (left, right) => sha256(join([1], left, right));

// As RFC 9162, section 2.1.3.2. Numbers are BigInt, because shifts of numbers stop at 32 bits.
async function rootOf(leaf, seq, size, path) {
  let fn = BigInt(seq), sn = BigInt(size) - 1n, found = leaf;
  for (const step of path) {
    if (sn === 0n) return null;
    if ((fn & 1n) || fn === sn) {
      found = await node(step, found);
      while (fn && !(fn & 1n)) { fn >>= 1n; sn >>= 1n; }
    } else found = await node(found, step);
    fn >>= 1n; sn >>= 1n;
  }
  return sn === 0n ? found : null;
}

function shownAsHashed(columns) {
  const shown = [...document.querySelectorAll("[data-column]")].every((one) => String(columns[one.dataset.column]) === one.textContent);
  return shown && columns[7] === proof.dataset.details && columns[8] === proof.dataset.authority;
}

async function isSigned(text, lines, name, id, key) {
  const known = await crypto.subtle.importKey("raw", key.slice(1), { name: "Ed25519" }, false, ["verify"]);
  for (const line of lines) {
    const [, who, said] = /^\u2014 (\S+) (\S+)$/.exec(line) ?? [];
    const bytes = who === name ? raw(said) : new Uint8Array();
    if (same(bytes.slice(0, 4), id) && await crypto.subtle.verify("Ed25519", known, bytes.slice(4), new TextEncoder().encode(text))) return true;
  }
  return false;
}

async function verify() {
  const said = proof.dataset, steps = [];
  const data = raw(said.leafData), leaf = await sha256(join([0], data));
  steps.push([shownAsHashed(JSON.parse(new TextDecoder().decode(data))), "what this page shows is what was hashed"]);
  steps.push([same(leaf, hex(said.leaf)), "the hash is the one at its place in the log"]);
  const cut = said.note.lastIndexOf("\n\n"), text = said.note.slice(0, cut + 1), lines = said.note.slice(cut + 2).trimEnd().split("\n");
  const [origin, size, root] = text.split("\n"), parts = said.key.split("+");
  const name = parts[0], id = hex(parts[1]), key = raw(parts.slice(2).join("+"));
  const found = await rootOf(leaf, said.seq, size, said.path ? said.path.split(" ").map(hex) : []);
  steps.push([found !== null && same(found, raw(root)), `the path leads to the root of ${size} rows`]);
  steps.push([origin === name && await isSigned(text, lines, name, id, key), `the checkpoint is signed by ${name}+${parts[1]}`]);
  return steps;
}

async function show() {
  let steps;
  try { steps = await verify(); } catch (error) { steps = [[false, `this browser could not verify it: ${error.message}`]]; }
  const list = document.getElementById("verify-steps"), verdict = document.getElementById("verdict");
  list.replaceChildren(...steps.map(([good, text]) => {
    const item = document.createElement("li"), tag = document.createElement("span");
    tag.className = good ? "tag ok" : "tag bad"; tag.textContent = good ? "yes" : "no";
    item.append(tag, ` ${text}`);
    return item;
  }));
  const all = steps.every(([good]) => good);
  verdict.className = all ? "note ok" : "note bad";
  verdict.textContent = all ? "Yes: verified in this browser." : "No: see which step fails.";
}

if (button && crypto.subtle) { button.hidden = false; button.addEventListener("click", show); }

// A part of a page with data-live is asked for again, from the page's own address, when its stream tells of a change.
const PAUSE_MS = 700;

export function follow(part) {
  let waiting = false, again = false, last = 0;
  const renew = async () => {
    if (waiting) { again = true; return; }
    waiting = true;
    await new Promise((done) => setTimeout(done, Math.max(40, last + PAUSE_MS - Date.now())));
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
      if (answer.ok) replace(part.id, await answer.text());
    } catch { /* the stream will say when the server is there again */ }
    waiting = false;
    if (again) { again = false; renew(); }
  };
  const stream = new EventSource(part.dataset.live);
  stream.addEventListener("change", renew);
  addEventListener("pagehide", () => stream.close());
}

function replace(id, text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById(id);
  const there = document.getElementById(id);
  if (!fresh || !there) return;
  const links = [...there.querySelectorAll("[data-key]")];
  const focused = links.findIndex((link) => link === document.activeElement);
  const href = focused >= 0 ? links[focused].getAttribute("href") : null;
  there.replaceChildren(...fresh.childNodes);
  if (href) [...there.querySelectorAll("[data-key]")].find((link) => link.getAttribute("href") === href)?.focus();
  there.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
}

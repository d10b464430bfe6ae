// What every page has: keys on lists, and parts that renew themselves when the server says that something changed.
// Without it every page still works: reload shows what is new.
import { follow } from "./live.js";

const typing = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;

function step(list, by) {
  const links = [...list.querySelectorAll("[data-key]")];
  const at = links.findIndex((link) => link.closest("li, tr")?.contains(document.activeElement));
  const next = links[Math.min(links.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const list = document.querySelector("[data-keys]");
  if (event.key === "j" && list) step(list, 1);
  else if (event.key === "k" && list) step(list, -1);
  else if (event.key === "/") {
    const field = document.querySelector("input[type=search]");
    if (!field) return;
    event.preventDefault();
    field.focus();
  }
});

for (const part of document.querySelectorAll("[data-live]")) follow(part);

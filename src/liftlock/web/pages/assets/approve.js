// An approval by passkey: the assertion's challenge is the digest of the seven lines that are approved.
// What is signed is made here of what the page shows; the server makes the same lines of what it has, and compares.
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function statement(form, verdict) {
  const said = form.dataset;
  return ["liftlock-approval-1", `operation-id: ${said.operationId}`, `operation: ${said.operation}`,
    `digest: sha256:${said.digest}`, `verdict: ${verdict}`, `approver: ${said.approver}`,
    `reason: ${form.elements.reason.value.trim()}`, ""].join("\n");
}

async function signed(form, verdict, passkeys) {
  const challenge = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(statement(form, verdict)));
  const made = await navigator.credentials.get({ publicKey: {
    challenge, rpId: passkeys[0].rpId, userVerification: "required", timeout: 120_000,
    allowCredentials: passkeys.map((one) => ({ type: "public-key", id: bytes(one.id) })),
  } });
  const said = made.response;
  return JSON.stringify({
    id: made.id, rawId: text(made.rawId), type: made.type, clientExtensionResults: {},
    response: {
      clientDataJSON: text(said.clientDataJSON), authenticatorData: text(said.authenticatorData),
      signature: text(said.signature), ...(said.userHandle ? { userHandle: text(said.userHandle) } : {}),
    },
  });
}

function prepare(form) {
  const all = JSON.parse(form.dataset.passkeys), note = form.querySelector("[role=alert]");
  const here = all.filter((one) => one.origin === location.origin && one.rpId === all[0].rpId);
  const say = (said) => { note.textContent = said; note.hidden = !said; };
  if (!all.length) return;
  if (!here.length) { say(`${form.dataset.approver}'s passkeys are for ${all[0].origin}: open this page there.`); return; }
  if (!window.PublicKeyCredential) { say("This browser has no passkeys. Sign on the command line."); return; }
  form.querySelector(".passkey").hidden = false;
  form.addEventListener("submit", async (event) => {
    const button = event.submitter;
    if (!button?.matches("[data-sign]")) return;
    event.preventDefault();
    say("");
    try {
      form.elements.signature.value = await signed(form, button.value, here);
    } catch (error) { say(`Nothing was sent: ${error.message}`); return; }
    form.elements.method.value = "webauthn";
    const verdict = Object.assign(document.createElement("input"), { type: "hidden", name: "verdict", value: button.value });
    form.append(verdict);
    form.submit();
  });
}

for (const form of document.querySelectorAll("form.say")) prepare(form);

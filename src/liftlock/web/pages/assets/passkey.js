// Makes a passkey and shows its public part as the operations file takes it. Nothing is sent anywhere.
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const button = document.getElementById("make"), note = document.getElementById("passkey-note");

// After 37 bytes come the model (16), the length of the id (2), the id, and the key in COSE form up to the end.
function coseKey(data) {
  const length = (data[53] << 8) | data[54];
  return data.slice(55 + length);
}

async function make() {
  const name = button.dataset.name, who = new TextEncoder().encode(name);
  const made = await navigator.credentials.create({ publicKey: {
    challenge: crypto.getRandomValues(new Uint8Array(32)),
    rp: { name: "liftlock", id: location.hostname },
    user: { id: await crypto.subtle.digest("SHA-256", who), name, displayName: name },
    pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -8 }, { type: "public-key", alg: -257 }],
    authenticatorSelection: { userVerification: "required" }, attestation: "none", timeout: 120_000,
  } });
  const key = coseKey(new Uint8Array(made.response.getAuthenticatorData()));
  return { credentialId: made.id, publicKey: text(key), rpId: location.hostname, origin: location.origin };
}

button.disabled = !window.PublicKeyCredential;
button.addEventListener("click", async () => {
  note.hidden = true;
  try {
    document.getElementById("passkey-line").textContent = JSON.stringify(await make());
    document.getElementById("passkey-made").hidden = false;
  } catch (error) { note.textContent = `None was made: ${error.message}`; note.hidden = false; }
});

// A plan may come from a file: its text is put into the field, and sent like what was typed.
const choice = document.getElementById("file"), field = document.getElementById("plan-text");
if (choice && field) {
  document.getElementById("plan-file").hidden = false;
  choice.addEventListener("change", async () => { if (choice.files[0]) field.value = await choice.files[0].text(); });
}


"use strict";
// Reads the invitation from what follows # in the address of this page, which the browser keeps to itself, and shows
// it where it is to be copied. Nothing is sent: the page's policy allows no connection.
const found = /^#1\.[0-9a-f]{64}\.(marukey-[0-9a-f]{48})$/.exec(location.hash);
for (const part of document.querySelectorAll(".whole")) part.hidden = !found;
for (const part of document.querySelectorAll(".broken")) part.hidden = Boolean(found);
if (found) {
  for (const place of document.querySelectorAll(".key")) place.textContent = found[1];
  for (const place of document.querySelectorAll(".invitation")) place.textContent = location.href;
}
for (const button of document.querySelectorAll("button")) {
  const place = button.previousElementSibling;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(place.textContent);
      button.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(place);
    }
  });
}
const system = [["android", /Android/], ["iphone", /iPhone|iPad/], ["windows", /Windows/], ["macos", /Mac/], ["linux", /Linux/]]
  .find(([, pattern]) => pattern.test(navigator.userAgent));
if (system) for (const part of document.querySelectorAll("." + system[0])) part.open = true;

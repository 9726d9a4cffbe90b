/** A classic script, since browsers run no modules of a page that was opened from a folder. */

if (location.protocol === "file:" && !document.querySelector("[data-asset]")) {
  const notice = document.getElementById("notice");
  notice.textContent =
    "This page needs a server: start one with edgebee web … --serve, or make one file of it with --single-file.";
  notice.hidden = false;
  document.getElementById("prompt-text").textContent = "No model is running.";
  document.getElementById("selftest").textContent = "not run";
}

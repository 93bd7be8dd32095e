/** Keeps the page and its models in the browser, and says so once they are there. */

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register(new URL("service_worker.js", import.meta.url));
  await navigator.serviceWorker.ready;
  document.getElementById("offline").hidden = false;
}

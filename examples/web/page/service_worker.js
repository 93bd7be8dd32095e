/** Answers from the browser's own store, so that the page needs no network after it was loaded once. */

// Says VERSION and FILES; browsers look for a new one whenever the page is loaded.
importScripts("files.js");

const OURS = `streamrnn ${registration.scope} `;
const STORE = OURS + VERSION;

addEventListener("install", (event) => event.waitUntil(store()));
addEventListener("activate", (event) => event.waitUntil(forgetOthers().then(() => clients.claim())));
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function store() {
  const cache = await caches.open(STORE);
  // Past the browser's other cache, which may still hold files of an older version.
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(OURS) && name !== STORE).map((name) => caches.delete(name)));
}

async function answer(request) {
  const cache = await caches.open(STORE);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}

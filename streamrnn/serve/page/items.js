/** The page of streams of anything: a card for each model that takes no sound. */

import { cardOf } from "./cards.js";
import { fetchModels, hears } from "./models.js";

const RETRY_MS = 1000;
const byId = (id) => document.getElementById(id);

async function begin(token) {
  const { models, needsToken, reason } = await fetchModels(token);
  byId("items-token-form").hidden = !needsToken;
  byId("items-notice").textContent = reason ?? "";
  byId("items-notice").hidden = !reason;
  if (reason) setTimeout(() => begin(token), RETRY_MS);
  if (!models) return;
  const { protocol, host, pathname } = location;
  const url = `${protocol === "https:" ? "wss" : "ws"}://${host}${pathname.replace(/[^/]*$/, "")}v1/stream`;
  byId("to-sound").hidden = !models.some(hears);
  byId("cards").replaceChildren(...models.filter((model) => !hears(model)).map((model) => cardOf(model, url, token).element));
}

byId("items-token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(byId("items-token").value);
});

begin("");

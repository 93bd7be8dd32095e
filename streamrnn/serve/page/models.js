/** What the server serves. */

const TIMEOUT_MS = 8000;

/** {models} if all is well, {needsToken: true}, or {reason} why there are none. */
export async function fetchModels(token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    const answer = await fetch("v1/models", { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.status === 401) return { needsToken: true };
    if (!answer.ok) return { reason: `The server answered with status ${answer.status}.` };
    return { models: (await answer.json()).models };
  } catch {
    return { reason: "The server does not answer." };
  }
}

/** One line about a model. */
export function describe(model) {
  const delay = `${Math.round(model.latency_ms)} ms behind the sound`;
  if (model.gives === "sound") return `Takes the noise away, ${delay}.`;
  if (model.labels.length === 1) return `Hears when somebody speaks, ${delay}.`;
  if (model.labels.length > 0) return `Hears: ${model.labels.join(", ")}; ${delay}.`;
  return `Writes down what is said, ${delay}.`;
}

/** What the server serves. */

import { SoundError } from "./audio.js";

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

/** Whether it takes sound; a server of an older version says nothing of it. */
export function hears(model) {
  return model.takes !== "items";
}

/** A recording that suits the model, from the server. Raises SoundError. */
export async function fetchSample(model) {
  const name = model.kinds.includes("word") ? "digits" : model.kinds.includes("keyword") ? "commands" : model.gives === "sound" ? "hall" : "conversation";
  try {
    const answer = await fetch(`samples/${name}.opus`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.ok) return new File([await answer.blob()], `${name}.opus`);
  } catch {
    // Said below.
  }
  throw new SoundError("The server does not give the sample. Open a recording of your own.");
}

const KINDS = { speech_start: "Speech", keyword: "Words", endpoint: "Transcription", label: "Labels" };

/** The models as options, in groups where there are several kinds. */
export function byKind(models) {
  const groups = new Map();
  for (const { name, gives, kinds, settings } of models) {
    const title = kinds.map((kind) => KINDS[kind]).find(Boolean) ?? (settings.phrases ? KINDS.keyword : gives === "sound" ? "Sound" : "Numbers");
    groups.set(title, [...(groups.get(title) ?? []), new Option(name, name)]);
  }
  if (groups.size === 1) return [...groups.values()][0];
  return [...groups].map(([label, options]) => {
    const group = Object.assign(document.createElement("optgroup"), { label });
    group.append(...options);
    return group;
  });
}

/** One line about a model. */
export function describe(model) {
  const delay = `${Math.round(model.latency_ms)} ms behind the sound`;
  if (model.gives === "sound") return `Takes the noise away, ${delay}.`;
  if (Array.isArray(model.settings.phrases) && !model.labels.length) return `Hears phrases that you type under Settings, ${delay}.`;
  if (model.gives === "numbers") return `Gives numbers, ${delay}.`;
  if (model.kinds.includes("speech_start")) return `Hears when somebody speaks, ${delay}.`;
  if (model.kinds.includes("word")) return `Writes down what is said, ${delay}.`;
  return `Hears: ${model.labels.join(", ")}; ${delay}.`;
}

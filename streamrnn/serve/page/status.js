/** The state of the connection in plain words, the remarks, and the measured numbers. */

import { setText } from "./text.js";
import { clockText } from "./time.js";

const TEXTS = {
  connecting: "Connecting",
  ready: "Ready",
  live: "Live",
  lost: "Connection lost, trying again",
  down: "No server, trying again",
  refused: "Refused",
  token: "Token needed",
};

const NONE = "–";

const byId = (id) => document.getElementById(id);

/** Shows one of the states above; the reason follows in words. */
export function showState(name, reason = "") {
  const text = reason ? `${TEXTS[name]}: ${lowerFirst(reason)}` : TEXTS[name];
  byId("connection").dataset.state = name;
  setText(byId("connection-text"), text);
}

function lowerFirst(text) {
  const sentence = text.replace(/\.$/, "");
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

/** A remark for the person at the page; an empty one hides it. */
export function notify(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

/** The figures of a session; dashes where they are not, or no longer, those of the sound that is being heard. */
export function showNumbers(session) {
  const isHeard = session !== null && !session.isRefused;
  const measured = isHeard && !session.isLost && !session.isAtOnce ? session.meter.summary() : null;
  const resumed = isHeard ? session.connection.resumed : 0;
  setText(byId("latency"), measured ? `${Math.round(measured.median_ms)} ms` : NONE);
  setText(byId("worst"), measured ? `${Math.round(measured.worst_ms)} ms` : NONE);
  setText(byId("algorithmic"), isHeard && session.latency_ms !== undefined ? `${Math.round(session.latency_ms)} ms` : NONE);
  setText(byId("heard"), isHeard ? heardText(session) : NONE);
  setText(byId("speed"), isHeard && session.took_ms ? speedText(session) : NONE);
  byId("speed").parentElement.hidden = !session?.isAtOnce;
  setText(byId("resumed"), String(resumed));
  byId("resumed").parentElement.hidden = resumed === 0;
}

function heardText({ outbox, sampleRate }) {
  return `${clockText(outbox.written / sampleRate)} at ${sampleRate / 1000} kHz`;
}

function speedText({ recording, took_ms }) {
  return `${Math.round((1000 * recording.duration_s) / took_ms)} ×`;
}

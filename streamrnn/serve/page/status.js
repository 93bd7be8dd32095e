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

export function showNumbers(session) {
  const measured = session.meter.summary();
  const hasTime = measured !== null && !session.isAtOnce;
  setText(byId("latency"), hasTime ? `${Math.round(measured.median_ms)} ms` : "–");
  setText(byId("worst"), hasTime ? `${Math.round(measured.worst_ms)} ms` : "–");
  setText(byId("algorithmic"), session.latency_ms === undefined ? "–" : `${Math.round(session.latency_ms)} ms`);
  setText(byId("heard"), `${clockText(session.outbox.written / session.sampleRate)} at ${session.sampleRate / 1000} kHz`);
  setText(byId("speed"), session.took_ms ? `${Math.round((1000 * session.recording.duration_s) / session.took_ms)} ×` : "–");
  byId("speed").parentElement.hidden = !session.isAtOnce;
  setText(byId("resumed"), String(session.connection.resumed));
  byId("resumed").parentElement.hidden = session.connection.resumed === 0;
}

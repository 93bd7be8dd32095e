/** What was decided, in words: a large line for the moment, and a log of all of it. */

import { setText } from "./text.js";
import { clockText } from "./time.js";

const LONGEST_LOG = 400;

export class Captions {
  constructor(now, log) {
    this.now = now;
    this.log = log;
    this.open = null;
    this.said = "";
  }

  clear() {
    this.log.replaceChildren();
    this.open = null;
    this.said = "";
    this.#say("", "quiet", "");
  }

  add(event) {
    switch (event.kind) {
      case "speech_start":
        this.open = this.#append(event.start_s, null, "speech", "speech");
        return;
      case "speech_end":
        return this.#endSpeech(event);
      case "label":
        if (event.end_s !== null) return this.#endSpeech(event);
        this.open = this.#append(event.start_s, null, event.label, "speech");
        return;
      case "keyword":
        this.said = event.label;
        return this.#append(event.start_s, null, event.label, "word", event.score);
      case "partial":
        this.said = event.label;
        return;
      case "abstain":
        return this.#append(event.start_s, event.end_s, `${event.label}? A person should look: ${event.reason}`, "remark");
      case "endpoint":
        this.said = event.label;
        return this.#append(event.start_s, event.end_s, event.label, "text");
    }
  }

  /** Speech that was open ends here: its stream did. */
  endOpen(time_s) {
    this.open?.show(time_s);
    this.open = null;
  }

  /** A remark between the captions: a new beginning, the end. */
  remark(time_s, text) {
    this.#append(time_s, null, text, "remark");
  }

  /** The large line, for the moment `now_s` of a session. */
  update(session, now_s) {
    if (session.isLost) return this.#say("Waiting for the server", "quiet", "");
    const span = session.timeline.spans.findLast((s) => s.start_s <= now_s && (s.end_s === null || s.end_s > now_s));
    if (span) return this.#say(nameOf(span.label), "speech", `${Math.max(0, now_s - span.start_s).toFixed(1)} s`);
    if (this.said) return this.#say(this.said, session.timeline.partial ? "partial" : "word", "");
    if (session.clean) return this.#say(takenAway(session.heard, session.clean), "speech", "taken away in the last second");
    this.#say(session.isOver ? "Silence" : "Listening", "quiet", "");
  }

  #say(text, kind, note) {
    if (this.now.dataset.kind !== kind) this.now.dataset.kind = kind;
    const [large, small] = this.now.children;
    setText(large, text);
    setText(small, note);
  }

  #endSpeech(event) {
    if (this.open === null) this.open = this.#append(event.start_s, null, event.label, "speech");
    this.open.show(event.end_s, event.score);
    this.open = null;
  }

  #append(start_s, end_s, text, kind, score) {
    const isAtEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    const line = new Line(start_s, text, kind);
    line.show(end_s, score);
    this.log.append(line.item);
    if (this.log.children.length > LONGEST_LOG) this.log.firstElementChild.remove();
    if (isAtEnd) this.log.scrollTop = this.log.scrollHeight;
    return line;
  }
}

/** A label as it begins a line. */
const nameOf = (label) => label.charAt(0).toUpperCase() + label.slice(1);

/** By how much the cleaned sound is quieter, in words. */
function takenAway(heard, clean) {
  const end = Math.min(heard.end, clean.end);
  return `${Math.max(0, heard.levelBefore(end) - clean.levelBefore(end)).toFixed(0)} dB`;
}

/** One line of the log: when, what, and how sure. */
class Line {
  constructor(start_s, text, kind) {
    this.start_s = start_s;
    this.item = document.createElement("li");
    this.item.dataset.kind = kind;
    this.time = this.#part("time", clockText(start_s, 2));
    this.#part("what", text);
    this.note = this.#part("note", "");
  }

  show(end_s, score) {
    if (end_s !== null) this.time.textContent = `${clockText(this.start_s, 2)} – ${clockText(end_s, 2)}`;
    if (this.item.dataset.kind === "speech" && end_s !== null) this.note.textContent = `${(end_s - this.start_s).toFixed(2)} s`;
    if (this.item.dataset.kind === "word") this.note.textContent = `${Math.round(100 * score)} %`;
  }

  #part(name, text) {
    const part = document.createElement("span");
    part.className = name;
    part.textContent = text;
    this.item.append(part);
    return part;
  }
}

/** What was decided, by time: spans of speech, words and keywords, and the text under way. */

const KEPT = 500;

export class Timeline {
  constructor() {
    this.spans = [];
    this.words = [];
    this.partial = "";
    this.utterance = [];
  }

  add(event) {
    switch (event.kind) {
      case "speech_start":
        return this.#keep(this.spans, { label: event.label, start_s: event.start_s, end_s: null });
      case "speech_end":
        return this.#endSpeech(event);
      case "label":
        if (event.end_s !== null) return this.#endSpeech(event);
        return this.#keep(this.spans, { label: event.label, start_s: event.start_s, end_s: null });
      case "keyword":
        return this.#keep(this.words, { label: event.label, start_s: event.start_s, end_s: event.end_s ?? event.start_s });
      case "word":
        this.utterance.push(event.label);
        return this.#keep(this.words, { label: event.label, start_s: event.start_s, end_s: event.end_s ?? event.start_s });
      case "partial":
        this.partial = event.label;
        return;
      case "endpoint":
        this.partial = "";
        this.utterance = [];
    }
  }

  get isSpeaking() {
    return this.spans.length > 0 && this.spans[this.spans.length - 1].end_s === null;
  }

  /** The stream ends or begins anew: nothing stays open. */
  closeOpen(time_s) {
    for (const span of this.spans) span.end_s ??= Math.max(span.start_s, time_s);
    this.partial = "";
    this.utterance = [];
  }

  #endSpeech(event) {
    const open = this.spans.find((span) => span.end_s === null && span.label === event.label);
    if (open === undefined) return this.#keep(this.spans, { label: event.label, start_s: event.start_s, end_s: event.end_s });
    open.start_s = event.start_s;
    open.end_s = event.end_s;
  }

  #keep(list, item) {
    list.push(item);
    if (list.length > KEPT) list.shift();
  }
}

/** From a model's outputs to events, by the rules in docs/export.md: the same as those of streamrnn.Listener. */

/** A decoder for the model: push(outputs) and finish(duration_s) give lists of events. */
export function makeDecoder(about) {
  const Decoder = { SpeechSettings: SpeechDecoder, KeywordSettings: KeywordDecoder }[about.decision_kind];
  if (Decoder === undefined) throw new Error(`There is no decoder here for ${about.decision_kind}, which ${about.name} needs.`);
  // What is not sure enough would be answered nevertheless.
  if (about.decision?.hand_over) throw new Error(`${about.name} hands over what it is not sure of, which no decoder here does.`);
  return new Decoder(about);
}

/** How much is heard of what the model listens for, 0 to 1, by its outputs of one frame. */
export function activity(about, outputs) {
  if (about.decision_kind !== "KeywordSettings") return outputs[0];
  return Math.max(0, ...wordsOf(about.labels).map((word) => outputs[word]));
}

/** The numbers of the labels that can be detected: not those of silence and of unknown words, which a model may lack. */
function wordsOf(labels) {
  return [...labels.keys()].filter((number) => !["silence", "unknown"].includes(labels[number]));
}

/** Two thresholds (hysteresis), a shortest speech and a hangover. */
class SpeechDecoder {
  constructor({ decision, frame_s, lookahead_s }) {
    Object.assign(this, { decision, frame_s, lookahead_s });
    this.shortest = wholeFrames(decision.min_speech_ms, frame_s);
    this.hangover = wholeFrames(decision.min_silence_ms, frame_s);
    this.padding_s = decision.padding_ms / 1000;
    this.frames = 0;
    this.onset = this.last = -1;
    this.isSpeaking = false;
    this.start_s = this.end_s = 0;
  }

  push([probability]) {
    const frame = this.frames++;
    const { threshold, off_threshold } = this.decision;
    if (probability >= (this.onset < 0 ? threshold : off_threshold)) return this.#hearSpeech(frame, probability);
    if (this.isSpeaking) return this.#hearSilence(frame);
    this.onset = -1;
    return [];
  }

  /** The events that the end of the sound decides. */
  finish(duration_s) {
    return this.isSpeaking ? [this.#end(Math.min(this.#padded_s, duration_s), duration_s)] : [];
  }

  #hearSpeech(frame, probability) {
    if (this.onset < 0) [this.onset, this.heard, this.sum] = [frame, 0, 0];
    this.last = frame;
    this.heard += 1;
    this.sum += probability;
    if (this.isSpeaking || this.heard < this.shortest) return [];
    this.isSpeaking = true;
    this.start_s = Math.max(this.onset * this.frame_s - this.padding_s, this.end_s);
    return [this.#event("speech_start", null, this.#endOf(frame) + this.lookahead_s)];
  }

  #hearSilence(frame) {
    if (frame - this.last < this.hangover) return [];
    const event = this.#end(Math.min(this.#padded_s, this.#endOf(frame)), this.#endOf(frame) + this.lookahead_s);
    this.onset = -1;
    this.isSpeaking = false;
    return [event];
  }

  get #padded_s() {
    return this.#endOf(this.last) + this.padding_s;
  }

  #endOf(frame) {
    return (frame + 1) * this.frame_s;
  }

  #end(end_s, decided_s) {
    this.end_s = end_s;
    return this.#event("speech_end", end_s, decided_s);
  }

  #event(kind, end_s, decided_s) {
    return { kind, label: "speech", start_s: this.start_s, end_s, score: this.sum / this.heard, decided_s };
  }
}

/** A moving mean, a threshold and a refractory time. */
class KeywordDecoder {
  constructor({ decision, labels, frame_s, lookahead_s }) {
    Object.assign(this, { decision, labels, frame_s, lookahead_s });
    this.smoothed = wholeFrames(decision.smoothing_ms, frame_s);
    this.refractory = wholeFrames(decision.refractory_ms, frame_s);
    this.settles = decision.settle_ms ? wholeFrames(decision.settle_ms, frame_s) : 0;
    this.words = wordsOf(labels);
    this.frames = this.ready = 0;
    this.past = [];
    this.held = new Set();
    this.best = null;
  }

  push(outputs) {
    const frame = this.frames++;
    this.past.push(outputs);
    if (this.past.length > this.smoothed) this.past.shift();
    const means = this.labels.map((_, word) => this.past.reduce((sum, each) => sum + each[word], 0) / this.smoothed);
    const { threshold } = this.decision;
    for (const word of this.held) if (means[word] < threshold) this.held.delete(word);
    const score = Math.max(...this.words.map((each) => means[each]));
    const word = this.words.find((each) => means[each] === score);
    if (this.best !== null) return this.#settle(frame, means);
    if (score < threshold || this.held.has(word) || frame < this.ready) return [];
    this.held.add(word);
    this.ready = frame + this.refractory;
    if (this.settles) {
      this.best = { frame, word, score, frames: 1 };
      return [];
    }
    return [this.#event(frame, this.labels[word], score)];
  }

  finish() {
    return this.best === null ? [] : this.#sent(this.frames - 1);
  }

  /** A frame while the mean of a word may still rise. */
  #settle(frame, means) {
    const frames = this.best.frames + 1;
    // The word that is waited for, or one that scores higher and may be detected: none that is held.
    const free = this.words.filter((each) => each === this.best.word || !this.held.has(each));
    const word = free.reduce((best, each) => (means[each] > means[best] ? each : best));
    const rises = means[word] > this.best.score;
    const falls = !rises && means[this.best.word] < this.best.score;
    if (rises) {
      // The event is no longer the other word's, which may take it back.
      this.held.delete(this.best.word);
      this.held.add(word);
      this.best = { frame, word, score: means[word] };
    }
    this.best.frames = frames;
    return falls || frames >= this.settles ? this.#sent(frame) : [];
  }

  #sent(frame) {
    const { frame: bestFrame, word, score } = this.best;
    this.best = null;
    const decided_s = (frame + 1) * this.frame_s + this.lookahead_s;
    return [{ ...this.#event(bestFrame, this.labels[word], score), decided_s }];
  }

  #event(frame, label, score) {
    const end_s = (frame + 1) * this.frame_s;
    const start_s = Math.max(frame + 1 - this.smoothed, 0) * this.frame_s;
    return { kind: "keyword", label, start_s, end_s, score, decided_s: end_s + this.lookahead_s };
  }
}

function wholeFrames(duration_ms, frame_s) {
  // To a millionth first: 70 ms are 7 frames of 10 ms, and the quotient of the two is a little more.
  return Math.max(1, Math.ceil(Number((duration_ms / 1000 / frame_s).toFixed(6))));
}

/** The picture above the captions: words, spectrogram, waveform and level on one axis of time. */

import { fitted } from "./canvas.js";
import { COLUMNS, COLUMN_S } from "./history.js";
import { readPalette } from "./palette.js";
import { Spectrogram } from "./spectrogram.js";
import { clockText } from "./time.js";

const PIXELS_PER_SECOND = 96;
const SHORTEST_S = 4;
const LONGEST_S = 12;
const WORDS_HEIGHT = 42;
const TOP = 8;
const AXIS_HEIGHT = 24;
const GAP = 12;
const WORD_GAP = 8;
const DASHES = [2, 4];
const SOLID = [];

export class Scope {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.spectrograms = [new Spectrogram(), new Spectrogram()];
    this.isStill = matchMedia("(prefers-reduced-motion: reduce)");
    this.xOf = (time_s) => (time_s - this.from_s) * this.pixelsPerSecond;
    this.wordEnds = [0, 0];
    this.readColours();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColours());
    new ResizeObserver(() => this.#fit()).observe(canvas);
    this.#fit();
  }

  readColours() {
    this.palette = readPalette(this.canvas);
    this.isStale = true;
    this.spectrograms.forEach((spectrogram) => spectrogram.forget());
  }

  #fit() {
    Object.assign(this, fitted(this.canvas, this.context));
    this.span_s = Math.max(SHORTEST_S, Math.min(LONGEST_S, this.width / PIXELS_PER_SECOND));
    this.pixelsPerSecond = this.width / this.span_s;
    this.isStale = true;
  }

  /** Draws the seconds that end at `now_s`; who wants less motion sees pages that fill up instead of a picture that moves. */
  draw(session, now_s) {
    this.from_s = this.isStill.matches ? Math.floor(now_s / this.span_s) * this.span_s : now_s - this.span_s;
    this.now_s = now_s;
    this.known_s = Math.min(now_s, session.known_s);
    this.isStale = false;
    this.context.clearRect(0, 0, this.width, this.height);
    this.#drawAxis();
    if (session.clean) this.#drawSounds(session);
    else this.#drawDecisions(session);
  }

  #drawDecisions(session) {
    this.#drawSpeech(session.timeline.spans);
    this.#drawWords(session.timeline.words);
    const rest = this.height - WORDS_HEIGHT - AXIS_HEIGHT - 2 * GAP;
    const second = WORDS_HEIGHT + 0.48 * rest + GAP;
    const third = second + 0.28 * rest + GAP;
    this.#drawSpectrogram(0, session.heard, WORDS_HEIGHT, 0.48 * rest);
    this.#drawWaveform(session.heard, second, 0.28 * rest, session.timeline);
    this.#drawLevels(session, third, 0.24 * rest);
  }

  #drawSounds(session) {
    const rest = this.height - TOP - AXIS_HEIGHT - 2 * GAP;
    const second = TOP + 0.38 * rest + GAP;
    const third = second + 0.38 * rest + GAP;
    this.#drawSpectrogram(0, session.heard, TOP, 0.38 * rest, "heard");
    this.#drawSpectrogram(1, session.clean, second, 0.38 * rest, "cleaned");
    this.#barsBetween(session.heard, third, 0.24 * rest, this.palette.trace, this.from_s, this.now_s);
    this.#barsBetween(session.clean, third, 0.24 * rest, this.palette.clean, this.from_s, this.now_s);
  }

  #drawAxis() {
    const { context, palette } = this;
    const y = this.height - AXIS_HEIGHT;
    const every_s = this.pixelsPerSecond < 60 ? 2 : 1;
    context.fillStyle = palette.quiet;
    context.font = palette.small;
    context.textAlign = "center";
    context.textBaseline = "bottom";
    for (let second = Math.ceil(Math.max(0, this.from_s) / every_s) * every_s; second <= this.from_s + this.span_s; second += every_s) {
      const x = Math.round(this.xOf(second));
      context.fillRect(x, y + 2, 1, 4);
      if (x > 16 && x < this.width - 16) context.fillText(clockText(second), x, this.height);
    }
  }

  #drawSpectrogram(which, history, y, height, name) {
    const { context, palette } = this;
    const spectrogram = this.spectrograms[which];
    spectrogram.update(history, palette.ramp);
    context.save();
    context.beginPath();
    context.roundRect(0, y, this.width, height, 6);
    context.clip();
    context.fillStyle = palette.silence;
    context.fillRect(0, y, this.width, height);
    spectrogram.draw(context, this.from_s, this.xOf, this.pixelsPerSecond, y, height);
    context.restore();
    if (name !== undefined) this.#label(name, y + 8);
  }

  #label(text, y) {
    const { context, palette } = this;
    context.font = palette.small;
    context.textAlign = "left";
    context.textBaseline = "top";
    context.strokeStyle = palette.surface;
    context.lineWidth = 4;
    context.strokeText(text, 10, y);
    context.fillStyle = palette.ink;
    context.fillText(text, 10, y);
  }

  /** Speech and words in their colours. */
  #drawWaveform(history, y, height, timeline) {
    const { palette } = this;
    this.#barsBetween(history, y, height, palette.trace, this.from_s, this.now_s);
    for (const span of timeline.spans) this.#barsBetween(history, y, height, palette.speech, span.start_s, span.end_s ?? this.known_s);
    for (const word of timeline.words) this.#barsBetween(history, y, height, palette.word, word.start_s, word.end_s);
  }

  /** One bar per column of 10 ms. */

  #barsBetween(history, y, height, colour, from_s, to_s) {
    const { context } = this;
    // They overlap a little: seams between them would shimmer.
    const width = COLUMN_S * this.pixelsPerSecond + 0.5;
    const last = Math.min(history.end, Math.floor(to_s / COLUMN_S));
    context.fillStyle = colour;
    for (let column = Math.max(0, Math.floor(Math.max(from_s, this.from_s) / COLUMN_S)); column < last; column++) {
      if (!history.has(column)) continue;
      const at = column % COLUMNS;
      const top = loudness(history.high[at]);
      const bottom = loudness(history.low[at]);
      context.fillRect(this.xOf(column * COLUMN_S), y + (height / 2) * (1 - top), width, Math.max(1, (height / 2) * (top - bottom)));
    }
  }

  #drawLevels(session, y, height) {
    const { threshold, off_threshold: off } = session.settings;
    this.#line(y + height, false);
    this.#fillLevels(session.levels, y, height);
    if (threshold === undefined) return;
    this.#drawThreshold(threshold, y, height, `on at ${threshold.toFixed(2)}`);
    if (off !== undefined) this.#drawThreshold(off, y, height, "");
  }

  #fillLevels(levels, y, height) {
    const { context, palette } = this;
    const start = Math.max(0, this.xOf(0));
    const end = Math.min(this.width, this.xOf(Math.min(this.now_s, levels.end * levels.frame_s)));
    if (end <= start) return;
    context.beginPath();
    for (let x = start; x <= end; x++) {
      const level = levels.at(this.from_s + x / this.pixelsPerSecond);
      context.lineTo(x, y + height * (1 - (level >= 0 ? level : 0)));
    }
    context.strokeStyle = palette.speech;
    context.lineWidth = 1.5;
    context.stroke();
    context.lineTo(end, y + height);
    context.lineTo(start, y + height);
    context.fillStyle = palette["speech-soft"];
    context.fill();
  }

  #drawThreshold(level, y, height, text) {
    const at = Math.round(y + height * (1 - level)) + 0.5;
    this.#line(at, true);
    if (text) this.#label(text, at - 15);
  }

  #line(y, isDashed) {
    const { context } = this;
    context.beginPath();
    if (isDashed) context.setLineDash(DASHES);
    context.moveTo(0, y);
    context.lineTo(this.width, y);
    context.strokeStyle = isDashed ? this.palette.quiet : this.palette.line;
    context.lineWidth = 1;
    context.stroke();
    context.setLineDash(SOLID);
  }

  #drawSpeech(spans) {
    const { context, palette } = this;
    context.font = palette.small;
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
    for (const span of spans) {
      const end_s = span.end_s ?? this.known_s;
      if (end_s < this.from_s) continue;
      this.#bar(span.start_s, end_s, palette.speech);
      if (span.end_s !== null) span.text ??= `${(span.end_s - span.start_s).toFixed(1)} s`;
      const text = span.text ?? span.label;
      context.fillText(text, this.#inside(this.xOf(span.start_s), context.measureText(text).width), WORDS_HEIGHT - 13);
    }
  }

  /** Where a text begins, so that the last one is not cut. */
  #inside(x, width) {
    return x > this.width ? x : Math.min(x, this.width - width);
  }

  #bar(start_s, end_s, colour) {
    if (end_s < this.from_s) return;
    const x = Math.max(0, this.xOf(start_s));
    this.context.fillStyle = colour;
    this.context.beginPath();
    this.context.roundRect(x, WORDS_HEIGHT - 7, Math.max(3, Math.min(this.width, this.xOf(end_s)) - x), 3, 1.5);
    this.context.fill();
  }

  #drawWords(words) {
    const { context, palette } = this;
    this.wordEnds.fill(-Infinity);
    context.font = palette.strong;
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
    for (const word of words) {
      word.width ??= context.measureText(word.label).width;
      const x = this.#inside(this.xOf(word.start_s), word.width);
      if (x > this.width || x + word.width < 0) continue;
      this.#bar(word.start_s, word.end_s, palette.word);
      const row = x >= this.wordEnds[0] + WORD_GAP ? 0 : 1;
      this.wordEnds[row] = x + word.width;
      context.fillStyle = palette.word;
      context.fillText(word.label, x, row === 0 ? WORDS_HEIGHT - 13 : WORDS_HEIGHT - 29);
    }
  }
}

/** Square root: quiet sounds can be seen beside loud ones. */
function loudness(amplitude) {
  return Math.sign(amplitude) * Math.sqrt(Math.abs(amplitude));
}

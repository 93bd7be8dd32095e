/** The controls of a recording: play and pause, position over a small picture of all of it, original or cleaned, pace. */

import { fitted } from "./canvas.js";
import { readPalette } from "./palette.js";
import { setText } from "./text.js";
import { clockText } from "./time.js";

const byId = (id) => document.getElementById(id);

export class Playback {
  constructor(onPace) {
    this.session = null;
    this.overview = new Overview(byId("overview"));
    byId("play").addEventListener("click", () => this.#toggle());
    byId("position").addEventListener("input", (event) => this.#seek(Number(event.target.value)));
    byId("versions").addEventListener("change", () => this.#choose());
    byId("pace").addEventListener("change", onPace);
  }

  get isAtOnce() {
    return document.querySelector("input[name=pace]:checked").value === "once";
  }

  show(session) {
    this.session = session;
    byId("playback").hidden = session === null;
    if (session === null) return;
    byId("versions").hidden = session.clean === null;
    byId("position").max = session.recording.duration_s;
    this.overview.show(session.recording);
    if (session.clean) this.#choose();
    this.moved(0, false);
  }

  moved(position_s, isPlaying) {
    const { duration_s } = this.session.recording;
    setText(byId("play"), isPlaying ? "Pause" : "Play");
    setText(byId("clock"), `${clockText(position_s)} / ${clockText(duration_s)}`);
    // Each new value lays the page out again: as often as it can be seen is enough.
    if (Math.abs(byId("position").value - position_s) < duration_s / 500 && isPlaying) return;
    byId("position").value = position_s;
    byId("position").setAttribute("aria-valuetext", `${clockText(position_s)} of ${clockText(duration_s)}`);
  }

  draw(now_s) {
    if (this.session) this.overview.draw(this.session.timeline, now_s);
  }

  #toggle() {
    const { player, recording, sampleRate } = this.session;
    if (player.isPlaying) return player.pause();
    if (player.position >= Math.floor(recording.duration_s * sampleRate) - 1) player.seek(0);
    player.play();
  }

  #seek(position_s) {
    const { player, sampleRate, recording } = this.session;
    player.seek(Math.min(recording.samples.length, Math.round(position_s * sampleRate)));
  }

  #choose() {
    this.session.player.choose(document.querySelector("input[name=version]:checked").value);
  }
}

/** The whole recording in one line: its waveform, speech and words in colour, and what was played. */
class Overview {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.recording = null;
    new ResizeObserver(() => this.#fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#fit());
  }

  show(recording) {
    this.recording = recording;
    this.#fit();
  }

  #fit() {
    Object.assign(this, fitted(this.canvas, this.context));
    this.palette = readPalette(this.canvas);
    if (this.recording && this.width > 0) this.peaks = peaksOf(this.recording.samples, Math.ceil(this.width / 3));
  }

  draw(timeline, now_s) {
    if (!this.peaks) return;
    this.context.clearRect(0, 0, this.width, this.height);
    const perSecond = this.width / this.recording.duration_s;
    for (let k = 0; k < this.peaks.length; k++) this.#bar(k, timeline, perSecond, now_s);
  }

  #bar(k, timeline, perSecond, now_s) {
    const { context, palette } = this;
    const time_s = (3 * k + 1) / perSecond;
    const height = Math.max(1.5, this.peaks[k] * this.height);
    context.globalAlpha = time_s <= now_s ? 1 : 0.45;
    context.fillStyle = lies(timeline.words, time_s) ? palette.word : lies(timeline.spans, time_s) ? palette.speech : palette.trace;
    context.fillRect(3 * k, (this.height - height) / 2, 2, height);
    context.globalAlpha = 1;
  }
}

function lies(items, time_s) {
  for (const item of items) if (time_s >= item.start_s && time_s < (item.end_s ?? Infinity)) return true;
  return false;
}

function peaksOf(samples, count) {
  const peaks = new Float32Array(count);
  for (let n = 0; n < samples.length; n++) {
    const k = Math.floor((n * count) / samples.length);
    peaks[k] = Math.max(peaks[k], Math.abs(samples[n]));
  }
  const loudest = peaks.reduce((a, b) => Math.max(a, b), 1e-6);
  return peaks.map((peak) => Math.sqrt(peak / loudest));
}

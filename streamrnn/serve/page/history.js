/** What was heard lately, ready to draw: extremes and spectra of columns of 10 ms, and levels, in rings of fixed size. */

import { ROWS, Spectrum } from "./spectrum.js";

export const COLUMNS = 4096;
export const COLUMN_S = 0.01;
const HELD_SAMPLES = 8192;
const SECOND = 100;
const QUIETEST = 1e-4;

/** Columns of a sound that comes in order. Column c is the samples from c to c + 1 hundredths of a second. */
export class SoundHistory {
  constructor(sampleRate) {
    this.sampleRate = sampleRate;
    this.spectrum = new Spectrum(sampleRate);
    this.low = new Float32Array(COLUMNS);
    this.high = new Float32Array(COLUMNS);
    this.rows = new Uint8Array(COLUMNS * ROWS);
    this.held = new Float32Array(HELD_SAMPLES);
    this.seek(0);
  }

  /** Begins anew: the next sample is number `sample`. */
  seek(sample) {
    this.epoch = (this.epoch ?? 0) + 1;
    this.first = this.end = Math.floor(sample / (this.sampleRate * COLUMN_S));
    this.samples = sample;
    this.border = this.#startOf(this.end + 1);
    this.held.fill(0);
    this.lowest = this.highest = 0;
  }

  get end_s() {
    return this.samples / this.sampleRate;
  }

  push(samples, from = 0, to = samples.length) {
    for (let n = from; n < to; n++) {
      const amplitude = samples[n];
      this.held[this.samples & (HELD_SAMPLES - 1)] = amplitude;
      if (amplitude < this.lowest) this.lowest = amplitude;
      if (amplitude > this.highest) this.highest = amplitude;
      if (++this.samples >= this.border) this.#closeColumn();
    }
  }

  /** Mean level of the second before column `end`, in dB: in the mean of levels, pauses count as much as speech. */
  levelBefore(end) {
    const start = Math.max(this.first, end - SECOND);
    let sum_db = 0;
    for (let column = start; column < end; column++) {
      const extent = this.high[column % COLUMNS] - this.low[column % COLUMNS];
      sum_db += 20 * Math.log10(extent + QUIETEST);
    }
    return sum_db / Math.max(1, end - start);
  }

  /** Whether a column is (still) there. */
  has(column) {
    return column >= this.first && column < this.end && column >= this.end - COLUMNS;
  }

  #closeColumn() {
    const at = this.end % COLUMNS;
    this.low[at] = this.lowest;
    this.high[at] = this.highest;
    this.spectrum.write(this.held, this.samples, this.rows, at * ROWS);
    this.end += 1;
    this.border = this.#startOf(this.end + 1);
    this.lowest = this.highest = 0;
  }

  #startOf(column) {
    return Math.round(column * this.sampleRate * COLUMN_S);
  }
}

/** Levels, 0 to 1, one per frame of the model. NaN where none came. */
export class LevelHistory {
  constructor(frame_s, longest_s) {
    this.frame_s = frame_s;
    this.values = new Float32Array(Math.ceil(longest_s / frame_s) + 1).fill(NaN);
    this.end = 0;
  }

  write(start_s, values) {
    const first = Math.round(start_s / this.frame_s);
    // Where levels were lost with a connection, the ring must not show what it held one turn ago.
    for (let frame = this.end; frame < first; frame++) this.values[frame % this.values.length] = NaN;
    for (let k = 0; k < values.length; k++) this.values[(first + k) % this.values.length] = values[k];
    this.end = Math.max(this.end, first + values.length);
  }

  /** The level at a time, NaN if unknown. */
  at(time_s) {
    const frame = Math.floor(time_s / this.frame_s);
    const known = frame >= 0 && frame < this.end && frame >= this.end - this.values.length;
    return known ? this.values[frame % this.values.length] : NaN;
  }
}

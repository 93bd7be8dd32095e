/** Sound from one sample rate to another, chunk by chunk, with a windowed sinc of zero phase. */

// On each side, of the slower rate: 2 ms at 16 kHz. With the roll-off, what would alias is 75 dB down.
const ZERO_CROSSINGS = 32;
const ROLL_OFF = 0.92;

/** Output n is the sound at n / toRate seconds, whatever the chunks. */
export class Resampler {
  constructor(fromRate, toRate) {
    const common = greatestCommonDivisor(fromRate, toRate);
    this.up = toRate / common;
    this.down = fromRate / common;
    this.isNeeded = fromRate !== toRate;
    const cutoff = Math.min(1, toRate / fromRate);
    this.reach = this.isNeeded ? Math.ceil(ZERO_CROSSINGS / cutoff) : 0;
    this.delay_s = this.reach / fromRate;
    this.filters = Array.from({ length: this.up }, (_, phase) => makeFilter(phase / this.up, this.reach, ROLL_OFF * cutoff));
    this.held = new Float32Array(this.reach);
    this.taken = this.made = 0;
  }

  /** What these samples complete. */
  push(samples) {
    this.taken += samples.length;
    return this.isNeeded ? this.#give(samples, Infinity) : samples;
  }

  /** The rest: sounds of N samples give ceil(N x toRate / fromRate) in all. */
  flush() {
    const all = Math.ceil((this.taken * this.up) / this.down);
    this.taken += this.reach;
    return this.#give(new Float32Array(this.reach), all);
  }

  #give(samples, most) {
    const heard = joined([this.held, samples]);
    const first = this.taken - heard.length;
    const end = Math.min(most, Math.max(this.made, Math.ceil(((this.taken - this.reach) * this.up) / this.down)));
    const output = new Float32Array(this.isNeeded ? end - this.made : 0);
    for (let n = 0; n < output.length; n++) output[n] = this.#sampleAt(this.made + n, heard, first);
    this.made += output.length;
    this.held = heard.slice(Math.max(0, this.#placeOf(this.made) - this.reach + 1 - first));
    return output;
  }

  #placeOf(n) {
    return Math.floor((n * this.down) / this.up);
  }

  #sampleAt(n, heard, first) {
    const filter = this.filters[(n * this.down) % this.up];
    const start = this.#placeOf(n) - this.reach + 1 - first;
    let sum = 0;
    for (let k = 0; k < filter.length; k++) sum += filter[k] * heard[start + k];
    return sum;
  }
}

/** Weights of the samples from 1 - reach to reach, for the moment between samples 0 and 1. */
function makeFilter(moment, reach, cutoff) {
  const weights = Float64Array.from({ length: 2 * reach }, (_, k) => {
    const away = k - reach + 1 - moment;
    return sinc(cutoff * away) * blackman(away / reach);
  });
  const sum = weights.reduce((a, b) => a + b, 0);
  return Float32Array.from(weights, (weight) => weight / sum);
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** From -1 to 1. */
function blackman(x) {
  return 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}

/** Several Float32Arrays as one. */
export function joined(parts) {
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

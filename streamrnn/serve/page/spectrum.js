/** Short-time spectra on a mel scale, as one byte per row: what a spectrogram shows. */

export const ROWS = 96;
const LOWEST_HZ = 60;
const HIGHEST_HZ = 8000;
const FLOOR_DB = -80;
const RANGE_DB = 62;

const toMel = (hz) => 2595 * Math.log10(1 + hz / 700);
const toHz = (mel) => 700 * (10 ** (mel / 2595) - 1);

/** Radix-2 FFT in place (Cooley and Tukey, 1965), with its twiddle factors and bit reversal made once. */
class FFT {
  constructor(size) {
    this.size = size;
    this.cos = Float32Array.from({ length: size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.sin = Float32Array.from({ length: size / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / size));
    this.reversed = new Uint32Array(size);
    for (let k = 1; k < size; k++) this.reversed[k] = (this.reversed[k >> 1] >> 1) | (k & 1 ? size >> 1 : 0);
  }

  transform(re, im) {
    this.#reorder(re);
    im.fill(0);
    for (let half = 1; half < this.size; half *= 2) this.#butterflies(re, im, half);
  }

  #reorder(re) {
    for (let k = 0; k < this.size; k++) {
      const other = this.reversed[k];
      if (other <= k) continue;
      const kept = re[k];
      re[k] = re[other];
      re[other] = kept;
    }
  }

  #butterflies(re, im, half) {
    const stride = this.size / (2 * half);
    for (let start = 0; start < this.size; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const a = start + k;
        const b = a + half;
        const w = k * stride;
        const x = re[b] * this.cos[w] - im[b] * this.sin[w];
        const y = re[b] * this.sin[w] + im[b] * this.cos[w];
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
    }
  }
}

/** Spectra of windows of about 25 ms. */
export class Spectrum {
  constructor(sampleRate) {
    this.size = 2 ** Math.round(Math.log2(sampleRate * 0.028));
    this.fft = new FFT(this.size);
    this.window = Float32Array.from({ length: this.size }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / this.size));
    this.scale = 4 / this.size ** 2;
    this.re = new Float32Array(this.size);
    this.im = new Float32Array(this.size);
    this.edges = melEdges(sampleRate, this.size);
  }

  /** Writes the levels of the window in `samples` (a ring, of which the window ends before `end`): 0 quiet, 255 loud. */
  write(samples, end, rows, at) {
    const mask = samples.length - 1;
    const start = end - this.size;
    for (let n = 0; n < this.size; n++) this.re[n] = samples[(start + n) & mask] * this.window[n];
    this.fft.transform(this.re, this.im);
    for (let row = 0; row < ROWS; row++) rows[at + row] = this.#level(this.edges[row], this.edges[row + 1]);
  }

  #level(from, to) {
    const first = Math.floor(from);
    const last = Math.max(first, Math.ceil(to) - 1);
    let power = 0;
    for (let k = first; k <= last; k++) power = Math.max(power, this.re[k] ** 2 + this.im[k] ** 2);
    const level_db = 10 * Math.log10(power * this.scale + 1e-12);
    return Math.max(0, Math.min(255, (255 * (level_db - FLOOR_DB)) / RANGE_DB));
  }
}

/** Borders of the rows, in bins, equally far apart in mel. */
function melEdges(sampleRate, size) {
  const [low, high] = [toMel(LOWEST_HZ), toMel(Math.min(HIGHEST_HZ, sampleRate / 2))];
  const toBin = size / sampleRate;
  return Float32Array.from({ length: ROWS + 1 }, (_, row) => toHz(low + ((high - low) * row) / ROWS) * toBin);
}

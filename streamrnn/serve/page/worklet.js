/** What runs on the audio thread: taking sound from the microphone, and giving sound to the loudspeaker. */

const REPORT_S = 0.02;
const FADE_S = 0.02;
const SPARE_BUFFERS = 8;

/** Posts {samples, time_ms}: 20 ms of the microphone, and when the last of them came. Buffers that are posted back serve again. */
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.length = Math.max(1, Math.round((REPORT_S * sampleRate) / 128)) * 128;
    this.spare = [];
    this.port.onmessage = ({ data }) => this.spare.length < SPARE_BUFFERS && this.spare.push(data);
    this.#next();
  }

  process([[input]]) {
    if (input === undefined) return true;
    this.samples.set(input, this.filled);
    this.filled += input.length;
    if (this.filled === this.length) this.#post();
    return true;
  }

  #post() {
    // performance.now() does not exist here; Date.now() does, and the page has it too.
    this.port.postMessage({ samples: this.samples, time_ms: Date.now() }, [this.samples.buffer]);
    this.#next();
  }

  #next() {
    this.samples = this.spare.pop() ?? new Float32Array(this.length);
    this.filled = 0;
  }
}

/** Plays sound that comes unevenly: waits until a little is there, and skips what has become too old. */
class JitterBuffer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(2 ** Math.ceil(Math.log2(2 * sampleRate)));
    this.wanted = Math.round(0.06 * sampleRate);
    this.longest = Math.round(0.3 * sampleRate);
    this.written = this.played = 0;
    this.isPlaying = false;
    this.gain = 0;
    this.port.onmessage = ({ data }) => this.#write(data);
  }

  #write(samples) {
    const mask = this.ring.length - 1;
    const kept = samples.subarray(Math.max(0, samples.length - this.ring.length));
    for (let n = 0; n < kept.length; n++) this.ring[this.written++ & mask] = kept[n];
    if (this.written - this.played > this.longest) this.#skip();
    if (this.written - this.played >= this.wanted) this.isPlaying = true;
  }

  #skip() {
    this.played = this.written - this.wanted;
    this.gain = 0;
  }

  process(_, [[output]]) {
    const mask = this.ring.length - 1;
    const step = 1 / (FADE_S * sampleRate);
    for (let n = 0; n < output.length; n++) {
      if (this.played === this.written) this.isPlaying = false;
      if (!this.isPlaying) {
        this.gain = 0;
        break;
      }
      this.gain = Math.min(1, this.gain + step);
      output[n] = this.gain * this.ring[this.played++ & mask];
    }
    return true;
  }
}

/**
 * Plays a recording, or its cleaned version, which may come while it plays: both on one clock, so that switching between
 * them compares the same moment. Takes {original}, {clean, at}, {isPlaying}, {position}, {version}; posts {position, isPlaying}.
 */
class RecordingPlayer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.original = this.clean = new Float32Array(0);
    this.cleaned = this.position = this.reported = 0;
    this.isPlaying = false;
    this.share = this.wantedShare = 0;
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  #take({ original, clean, at, isPlaying, position, version }) {
    if (original !== undefined) [this.original, this.clean] = [original, new Float32Array(original.length)];
    if (clean !== undefined) this.#store(clean, at);
    if (isPlaying !== undefined) this.isPlaying = isPlaying;
    if (position !== undefined) this.position = Math.min(position, this.original.length);
    if (version !== undefined) this.wantedShare = version === "clean" ? 1 : 0;
    this.#report();
  }

  #store(clean, at) {
    this.clean.set(clean.subarray(0, this.clean.length - at), at);
    this.cleaned = Math.max(this.cleaned, at + clean.length);
  }

  process(_, [[output]]) {
    const step = 1 / (FADE_S * sampleRate);
    for (let n = 0; n < output.length && this.#canPlay(); n++) {
      this.share += Math.max(-step, Math.min(step, this.wantedShare - this.share));
      const noisy = this.original[this.position];
      output[n] = noisy + this.share * (this.clean[this.position] - noisy);
      this.position += 1;
    }
    if (this.isPlaying && this.position === this.original.length) {
      this.isPlaying = false;
      this.#report();
    }
    if (this.position - this.reported >= REPORT_S * sampleRate) this.#report();
    return true;
  }

  #canPlay() {
    const end = this.wantedShare > 0 || this.share > 0 ? this.cleaned : this.original.length;
    return this.isPlaying && this.position < Math.min(end, this.original.length);
  }

  #report() {
    this.reported = this.position;
    this.port.postMessage({ position: this.position, isPlaying: this.isPlaying });
  }
}

registerProcessor("capture", Capture);
registerProcessor("jitter-buffer", JitterBuffer);
registerProcessor("recording-player", RecordingPlayer);

/** From capturing a sample to the message that covers it. */

const CHUNKS = 2048;
const MEASURED = 2048;
const SHOWN_MS = 10_000;

/** When which sample was captured, for the last chunks. Times are those of Date.now(): audio worklets have no other. */
export class CaptureClock {
  constructor(sampleRate) {
    this.sampleRate = sampleRate;
    this.ends = new Float64Array(CHUNKS);
    this.times_ms = new Float64Array(CHUNKS);
    this.chunks = 0;
  }

  /** The last sample before `end` was captured at `time_ms`. */
  note(end, time_ms) {
    this.ends[this.chunks % CHUNKS] = end;
    this.times_ms[this.chunks % CHUNKS] = time_ms;
    this.chunks += 1;
  }

  /** When the sample before `sample` was captured; NaN if that is forgotten or still to come. */
  timeOf(sample) {
    let chunk = this.chunks - 1;
    if (chunk < 0 || sample > this.ends[chunk % CHUNKS] + 1) return NaN;
    const oldest = Math.max(0, this.chunks - CHUNKS);
    while (chunk > oldest && this.ends[(chunk - 1) % CHUNKS] >= sample) chunk -= 1;
    const early_ms = (1000 * (this.ends[chunk % CHUNKS] - sample)) / this.sampleRate;
    return chunk === oldest && oldest > 0 ? NaN : this.times_ms[chunk % CHUNKS] - early_ms;
  }
}

/** Median and worst of the last ten seconds. */
export class LatencyMeter {
  constructor() {
    this.latencies_ms = new Float32Array(MEASURED);
    this.times_ms = new Float64Array(MEASURED);
    this.sorted = new Float32Array(MEASURED);
    this.count = 0;
  }

  add(latency_ms, now_ms = Date.now()) {
    if (Number.isNaN(latency_ms)) return;
    this.latencies_ms[this.count % MEASURED] = latency_ms;
    this.times_ms[this.count % MEASURED] = now_ms;
    this.count += 1;
  }

  /** {median_ms, worst_ms}, or null while nothing was measured. */
  summary(now_ms = Date.now()) {
    let n = 0;
    const oldest = Math.max(0, this.count - MEASURED);
    for (let k = this.count - 1; k >= oldest && this.times_ms[k % MEASURED] > now_ms - SHOWN_MS; k--) {
      this.sorted[n++] = this.latencies_ms[k % MEASURED];
    }
    if (n === 0) return null;
    const sorted = this.sorted.subarray(0, n).sort();
    return { median_ms: sorted[n >> 1], worst_ms: sorted[n - 1] };
  }
}

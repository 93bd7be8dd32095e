/** The last sound that was captured, so that it can be sent again after a lost connection. */

export class Outbox {
  /** Keeps at least `samples` samples. */
  constructor(samples) {
    this.ring = new Int16Array(samples);
    this.written = 0;
    this.sent = 0;
    this.received = 0;
  }

  /** Number of the oldest sample that is still here. */
  get oldest() {
    return Math.max(0, this.written - this.ring.length);
  }

  /** How much can be pushed without giving up sound that the server has not confirmed. */
  get room() {
    return this.ring.length - (this.written - this.received);
  }

  /** Takes amplitudes in [-1, 1]. */
  push(samples) {
    const size = this.ring.length;
    let at = this.written % size;
    for (let n = 0; n < samples.length; n++) {
      // Int16Array wraps around; a voice that clips must not.
      this.ring[at] = Math.max(-32768, Math.min(32767, Math.round(samples[n] * 32768)));
      if (++at === size) at = 0;
    }
    this.written += samples.length;
  }

  /** The next samples to send, at most `most` of them; null if there are none. Valid until the next push. */
  next(most) {
    const at = this.sent % this.ring.length;
    const n = Math.min(most, this.written - this.sent, this.ring.length - at);
    if (n <= 0) return null;
    this.sent += n;
    return this.ring.subarray(at, at + n);
  }

  /** Sends again from `sample` on. False if that is gone. */
  rewind(sample) {
    if (sample < this.oldest || sample > this.written) return false;
    this.sent = sample;
    this.received = Math.max(this.received, sample);
    return true;
  }

  confirm(sample) {
    this.received = Math.max(this.received, Math.min(sample, this.written));
  }
}

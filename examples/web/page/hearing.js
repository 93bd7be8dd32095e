/** One visitor's stream: 16-bit samples at any rate in; events and levels, or cleaned sound, out. */

import { activity, makeDecoder } from "./decisions.js";
import { ModelStream } from "./model_stream.js";
import { joined, Resampler } from "./resample.js";

/** A model that gives events. */
export class Hearing {
  constructor(session, about, sampleRate) {
    this.about = about;
    this.sampleRate = sampleRate;
    this.stream = new ModelStream(session, about);
    this.resampler = new Resampler(sampleRate, about.sample_rate);
    this.decoder = makeDecoder(about);
    this.taken = this.frames = 0;
  }

  get latency_ms() {
    return 1000 * (this.about.frame_s + this.about.lookahead_s + this.resampler.delay_s);
  }

  /** {events, levels} of the next samples. */
  async take(samples) {
    this.taken += samples.length;
    return this.#heard((use) => this.stream.process(this.resampler.push(toAmplitudes(samples)), use));
  }

  /** {events, levels} of the end. */
  async finish() {
    const answer = await this.#heard(async (use) => {
      await this.stream.process(this.resampler.flush(), use);
      await this.stream.flush(use);
    });
    answer.events.push(...this.decoder.finish(this.#duration_s).map((event) => this.#clipped(event)));
    return answer;
  }

  async #heard(run) {
    const { frame_s } = this.about;
    const levels = { start_s: this.frames * frame_s, frame_s, values: [] };
    const events = [];
    await run((outputs) => {
      this.frames += 1;
      levels.values.push(activity(this.about, outputs));
      events.push(...this.decoder.push(outputs).map((event) => this.#clipped(event)));
    });
    return { events, levels };
  }

  get #duration_s() {
    return this.taken / this.sampleRate;
  }

  /** The last block is padded; no time of an event lies in the padding. */
  #clipped(event) {
    const clip = (time_s) => (time_s === null ? null : Math.min(time_s, this.#duration_s));
    return { ...event, start_s: clip(event.start_s), end_s: clip(event.end_s), decided_s: clip(event.decided_s) };
  }
}

/** A model that gives sound: as many samples come out as go in, each in its place. */
export class Cleaning {
  constructor(session, about, sampleRate) {
    this.about = about;
    this.stream = new ModelStream(session, about);
    this.resampler = new Resampler(sampleRate, about.sample_rate);
    this.wayBack = new Resampler(about.sample_rate, sampleRate);
    this.share = 10 ** (-about.decision.max_attenuation_db / 20);
    this.waiting = new Float32Array(0);
    this.given = this.taken = 0;
  }

  get latency_ms() {
    return 1000 * (this.about.frame_s + this.about.lookahead_s + this.resampler.delay_s + this.wayBack.delay_s);
  }

  /** {sound, first}: the next cleaned samples, and the number of the first of them. */
  async take(samples) {
    this.taken += samples.length;
    const original = toAmplitudes(samples);
    this.waiting = joined([this.waiting, original]);
    const parts = [];
    await this.stream.process(this.resampler.push(original), (clean) => parts.push(this.wayBack.push(clean)));
    return this.#give(parts);
  }

  /** {sound, first} of the end. */
  async finish() {
    const parts = [];
    const use = (clean) => parts.push(this.wayBack.push(clean));
    await this.stream.process(this.resampler.flush(), use);
    await this.stream.flush(use);
    return this.#give([...parts, this.wayBack.flush()]);
  }

  #give(parts) {
    // Never more than was heard: the last block is padded.
    const clean = joined(parts).subarray(0, this.waiting.length);
    const original = this.waiting;
    this.waiting = original.slice(clean.length);
    const first = this.given;
    this.given += clean.length;
    return { sound: Int16Array.from(clean, (sample, n) => toPcm((1 - this.share) * sample + this.share * original[n])), first };
  }
}

function toAmplitudes(samples) {
  return Float32Array.from(samples, (sample) => sample / 32768);
}

function toPcm(amplitude) {
  return Math.max(-32768, Math.min(32767, Math.round(amplitude * 32768)));
}

/** A source of sound and the stream that hears it: from the microphone, or from a recording. */

import { Connection } from "./connection.js";
import { LevelHistory, SoundHistory } from "./history.js";
import { CaptureClock, LatencyMeter } from "./latency.js";
import { Outbox } from "./outbox.js";
import { Timeline } from "./timeline.js";

const OUTBOX_S = 40;
const LEVELS_S = 60;
const FILLED_S = 15;
// The cleaned sound of a recording that is sent as it plays must be there when its moment comes.
const LEAD_S = 0.5;
const FEED_S = 1;

/** What both kinds of source share. `view` hears: state, ready, event, restarted, flushed, notice, moved. */
class Session {
  constructor(model, sampleRate, longest_s, { url, token, settings = {}, view }) {
    this.model = model;
    this.sampleRate = sampleRate;
    this.view = view;
    this.timeline = new Timeline();
    this.heard = new SoundHistory(sampleRate);
    this.clean = model.gives === "sound" ? new SoundHistory(sampleRate) : null;
    this.levels = this.clean ? null : new LevelHistory(model.frame_s, longest_s);
    this.clock = new CaptureClock(sampleRate);
    this.meter = new LatencyMeter();
    this.outbox = new Outbox(Math.round(OUTBOX_S * sampleRate));
    this.settings = model.settings;
    this.isOver = this.isStopped = this.isLost = this.isRefused = false;
    // How far the server has told what it heard.
    this.known_s = Infinity;
    const hello = { model: model.name, sample_rate: sampleRate, levels: true, settings: { ...settings }, ...(token && { token }) };
    this.connection = new Connection(url, hello, this.outbox, this.#handlers());
  }

  #handlers() {
    return {
      state: (name, reason, code) => this.#change(name, reason, code),
      ready: (ready) => this.#begin(ready),
      event: (event) => this.#decide(event),
      levels: (start_s, frame_s, values) => this.#hearLevels(start_s, frame_s, values),
      sound: (samples, first) => this.#hearSound(samples, first),
      flushed: (duration_s) => this.flushed(duration_s),
      restarted: (time_s, reason) => this.#restart(time_s, reason),
      notice: (text) => this.view.notice(text),
    };
  }

  /** Takes sound whose last sample was captured at `time_ms`. */
  take(samples, time_ms) {
    this.outbox.push(samples);
    this.clock.note(this.outbox.written, time_ms);
    this.connection.pump();
  }

  #begin(ready) {
    this.settings = ready.settings;
    this.latency_ms = ready.latency_ms;
    this.view.ready(ready);
    if (ready.recorded_days !== undefined) this.view.notice(`This server keeps what it hears, for ${ready.recorded_days} days.`);
  }

  #change(name, reason, code) {
    if (name === "refused") this.isOver = this.isRefused = true;
    this.isLost = name === "lost";
    this.view.state(name, reason, code);
    // Nobody waits for the last events of a server that is gone.
    if (name !== "lost" || !this.isStopped) return;
    this.connection.hearLastWords();
    this.flushed(this.now_s);
  }

  #decide(event) {
    this.timeline.add(event);
    this.view.event(event);
  }

  #hearLevels(start_s, frame_s, values) {
    this.levels?.write(start_s, values);
    this.known_s = start_s + frame_s * values.length;
    this.#measure(start_s + frame_s * (values.length - 1));
  }

  #hearSound(samples, first) {
    const amplitudes = Float32Array.from(samples, (sample) => sample / 32768);
    this.hearClean(amplitudes, first);
    this.#measure((first + samples.length) / this.sampleRate - this.model.frame_s);
  }

  /** From the first sample of the last frame that a message covers: none waits longer for its answer. */
  #measure(covered_s) {
    this.meter.add(Date.now() - this.clock.timeOf(covered_s * this.sampleRate));
  }

  #restart(time_s, reason) {
    this.timeline.closeOpen(time_s);
    this.view.restarted(time_s, reason);
  }

  flushed(duration_s) {
    this.isOver = true;
    this.timeline.closeOpen(duration_s);
    this.connection.close();
    this.view.flushed(duration_s);
  }
}

/** The microphone, until it is stopped. */
export class MicrophoneSession extends Session {
  constructor(microphone, model, options) {
    super(model, microphone.sampleRate, LEVELS_S, options);
    this.microphone = microphone;
    this.loudspeaker = this.clean ? microphone.loudspeaker() : null;
    microphone.onSamples = (samples, time_ms) => this.#hear(samples, time_ms);
  }

  /** Seconds heard so far. */
  get now_s() {
    return this.heard.end_s;
  }

  update() {}

  /** Ends the sound; the last events still come. */
  stop() {
    this.isStopped = true;
    this.microphone.close();
    if (this.connection.isLive) this.connection.flush();
    else this.flushed(this.now_s);
  }

  end() {
    this.microphone.close();
    this.connection.close();
  }

  hearClean(samples, first) {
    if (first !== this.clean.samples) this.clean.seek(first);
    this.clean.push(samples);
    this.loudspeaker.play(samples);
  }

  #hear(samples, time_ms) {
    this.heard.push(samples);
    this.take(samples, time_ms);
  }
}

/** A recording, sent as it plays or at once, which can be played again. */
export class RecordingSession extends Session {
  constructor(recording, player, model, { isAtOnce, ...options }) {
    super(model, recording.sampleRate, recording.duration_s, options);
    this.recording = recording;
    this.player = player;
    this.isAtOnce = isAtOnce;
    this.began_ms = Date.now();
    this.cleaned = this.clean ? new Float32Array(recording.samples.length) : null;
    this.cleanedEnd = 0;
    player.onPosition = (position, isPlaying) => this.#moved(position, isPlaying);
    player.play();
    this.feed();
  }

  /** Where the recording is being played, in seconds. */
  get now_s() {
    return this.player.position / this.sampleRate;
  }

  /** Sends what is due: all that there is room for, or as much as was played. */
  feed() {
    const { samples } = this.recording;
    const lead = this.clean ? LEAD_S * this.sampleRate : 0;
    const due = this.isAtOnce ? samples.length : Math.min(samples.length, Math.ceil(this.player.position + lead));
    const most = Math.round(FEED_S * this.sampleRate);
    while (this.outbox.written < due && this.outbox.room >= most) {
      const from = this.outbox.written;
      this.take(samples.subarray(from, Math.min(due, from + most)), this.isAtOnce ? NaN : Date.now());
    }
    if (this.outbox.written === samples.length && !this.isFlushing) this.#flush();
  }

  #flush() {
    this.isFlushing = true;
    this.connection.flush();
  }

  #moved(position, isPlaying) {
    if (!this.isOver) this.feed();
    this.view.moved(position / this.sampleRate, isPlaying);
  }

  /** Brings the pictures up to the moment that is played. */
  update() {
    if (this.isAtOnce && !this.isOver) this.feed();
    const now = this.player.position;
    this.#show(this.heard, this.recording.samples, now);
    if (this.clean) this.#show(this.clean, this.cleaned, Math.min(now, this.cleanedEnd));
  }

  #show(history, samples, now) {
    const isElsewhere = now < history.samples - this.sampleRate || now > history.samples + FILLED_S * this.sampleRate;
    if (isElsewhere) history.seek(Math.max(0, now - FILLED_S * this.sampleRate));
    if (now > history.samples) history.push(samples, history.samples, now);
  }

  flushed(duration_s) {
    this.took_ms = Date.now() - this.began_ms;
    super.flushed(duration_s);
  }

  hearClean(samples, first) {
    const kept = samples.subarray(0, Math.max(0, this.cleaned.length - first));
    this.cleaned.set(kept, first);
    this.cleanedEnd = first + kept.length;
    this.player.addClean(kept, first);
  }

  end() {
    this.player.close();
    this.connection.close();
  }
}

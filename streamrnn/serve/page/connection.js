/** One stream of sound over WebSockets: says hello, sends, hears, and goes on after lost connections (docs/protocol.md). */

import { backoff_ms, isFinal } from "./retrying.js";

const MESSAGE_S = 0.25;
const BUFFERED_BYTES = 262_144;
const PUMP_MS = 20;
// Longer messages are not taken of somebody whom the server does not know yet.
const STATE_BYTES = 8192;
const READY_TIMEOUT_MS = 10_000;

/**
 * Handlers, all called with times and sample numbers of the sound that was pushed, also after a new beginning:
 * state(name, reason) with name connecting, live, lost, refused or ended; ready(message); event(event);
 * levels(start_s, frame_s, values); sound(int16 samples, number of the first); flushed(duration_s);
 * restarted(time_s, reason): the server had forgotten the stream, another one begins there; notice(text).
 */
export class Connection {
  #socket = null;
  #session = null;
  #ready = null;
  #seq = 0;
  #soundedBytes = 0;
  #given = 0;
  #origin = 0;
  #flush = "none";
  #failures = 0;
  #ended = false;
  #pumping = 0;
  #retrying = 0;
  #watchdog = 0;
  #reason = "";
  #whyAnew = "";
  #handedOver = null;
  #isGoing = false;
  #lastWords = [];

  constructor(url, hello, outbox, handlers) {
    this.url = url;
    this.hello = hello;
    this.outbox = outbox;
    this.handlers = handlers;
    this.resumed = 0;
    this.#open();
  }

  get isLive() {
    return this.#ready !== null && this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends what the outbox holds, as far as the network takes it. */
  pump() {
    clearTimeout(this.#pumping);
    if (!this.isLive || this.#isGoing) return;
    if (this.outbox.sent < this.outbox.oldest) return this.#beginAnew("The server could not keep up.");
    while (this.#socket.bufferedAmount < BUFFERED_BYTES) {
      const part = this.outbox.next(Math.round(MESSAGE_S * this.hello.sample_rate));
      if (part === null) return this.#sendFlush();
      this.#socket.send(part);
    }
    this.#pumping = setTimeout(() => this.pump(), PUMP_MS);
  }

  /** The sound ends here: asks for what is still under way, once all is sent. */
  flush() {
    this.#flush = "wanted";
    this.pump();
  }

  /** Ends the stream and says so to the server. */
  close() {
    if (this.#ended) return;
    if (this.isLive) this.#tell({ type: "close" });
    this.#end("ended", "");
  }

  /** Gives what a server that ended said of the end of the sound that it had heard, to whoever does not go on. */
  hearLastWords() {
    const words = this.#lastWords;
    this.#lastWords = [];
    for (const word of words) {
      if (word instanceof Int16Array) this.#giveSound(word);
      else this.handlers.event(this.#shifted(word));
    }
  }

  /** Tries at once instead of waiting. */
  retry() {
    if (this.#ended || this.#socket !== null) return;
    this.#open();
  }

  #open() {
    clearTimeout(this.#retrying);
    if (this.#failures === 0) this.#state("connecting", "");
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    // A socket that was given up must not speak for the one that came after it.
    const current = (act) => (event) => socket === this.#socket && act(event);
    socket.onopen = current(() => this.#sayHello());
    socket.onmessage = current((event) => this.#hear(event.data));
    socket.onclose = current((event) => this.#closed(event));
    this.#socket = socket;
    this.#watchdog = setTimeout(() => this.#giveUp("The server does not answer."), READY_TIMEOUT_MS);
  }

  #sayHello() {
    const state = this.#handedOver;
    const heard = { seq: this.#seq, sounded_bytes: this.#soundedBytes };
    const resume = this.#session && { ...this.#session, ...heard, ...(state && { state_bytes: state.length }) };
    this.#tell({ type: "hello", version: 1, encoding: "s16le", channels: 1, ...this.hello, ...(resume && { resume }) });
    if (!resume || !state) return;
    for (let at = 0; at < state.length; at += STATE_BYTES) this.#socket.send(state.subarray(at, at + STATE_BYTES));
  }

  #tell(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #hear(data) {
    if (typeof data !== "string") return this.#hearSound(new Int16Array(data));
    const message = JSON.parse(data);
    if (this.#isGoing && message.type !== "error") {
      if (message.type === "event") this.#lastWords.push(message);
      return;
    }
    // That of ready is how far the server is, not what came here.
    if (message.seq !== undefined && message.type !== "ready" && !this.#isNext(message.seq)) return;
    switch (message.type) {
      case "ready":
        return this.#begin(message);
      case "event":
        return this.handlers.event(this.#shifted(message));
      case "levels":
        return this.handlers.levels(message.start_s + this.#origin_s, message.frame_s, message.values);
      case "progress":
        this.outbox.confirm(this.#origin + message.received_samples);
        return this.pump();
      case "going":
        return this.#letGoing(message);
      case "flushed":
        this.#flush = "done";
        return this.handlers.flushed(message.duration_s + this.#origin_s);
      case "error":
        return this.#hearError(message);
    }
  }

  /** Whether a numbered message is the next one, and no repetition; begins anew where some are missing. */
  #isNext(seq) {
    if (seq > this.#seq + 1) this.#beginAnew("Some of what the server said never came.");
    else if (seq === this.#seq + 1) {
      this.#seq = seq;
      return true;
    }
    return false;
  }

  /** The server ends: another one may go on with the state, which is that after the sound received so far. */
  #letGoing({ received_samples, said, state }) {
    if (said > this.#seq) return this.#beginAnew("Some of what the server said never came.");
    this.#isGoing = true;
    this.#handedOver = state ? Uint8Array.from(atob(state), (byte) => byte.charCodeAt(0)) : null;
    this.#lastWords = [];
    this.outbox.confirm(this.#origin + received_samples);
  }

  #begin(ready) {
    clearTimeout(this.#watchdog);
    this.#handedOver = null;
    this.#lastWords = [];
    const isResumed = this.#session !== null;
    this.#session = { session: ready.session, secret: ready.secret };
    // Only now: while there was no server, the outbox may have given up more.
    if (!isResumed) this.#origin = Math.max(this.outbox.oldest, this.outbox.received);
    if (!this.outbox.rewind(this.#origin + ready.received_samples)) return this.#beginAnew("The connection was away too long.");
    this.#ready = ready;
    this.#failures = 0;
    this.resumed += isResumed ? 1 : 0;
    if (this.#flush === "sent") this.#flush = "wanted";
    if (this.#whyAnew) this.handlers.restarted(this.#origin_s, this.#whyAnew);
    this.#whyAnew = "";
    this.handlers.ready(ready);
    this.#state("live", "");
    this.pump();
  }

  #hearSound(samples) {
    if (this.#isGoing) return this.#lastWords.push(samples);
    this.#seq += 1;
    this.#soundedBytes += samples.byteLength;
    this.#giveSound(samples);
  }

  #giveSound(samples) {
    const first = this.#origin + this.#given;
    this.#given += samples.length;
    this.handlers.sound(samples, first);
  }

  #hearError({ code, message, fatal }) {
    if (!fatal) return this.handlers.notice(message);
    this.#reason = message;
    if (code === "resume_failed") return this.#beginAnew("The server had forgotten the stream.");
    if (isFinal(code)) this.#end("refused", message, code);
  }

  #sendFlush() {
    if (this.#flush !== "wanted") return;
    this.#flush = "sent";
    this.#tell({ type: "flush" });
  }

  /** Another stream, from the oldest sound that the server had not confirmed. */
  #beginAnew(reason) {
    this.hearLastWords();
    this.#session = this.#handedOver = null;
    this.#seq = this.#soundedBytes = this.#given = 0;
    this.#whyAnew = reason;
    this.#letGo();
    this.#open();
  }

  #closed(event) {
    if (event.code === 1009) return this.#end("refused", "A message was too large for the server.");
    this.#giveUp(this.#reason || (event.code === 1012 ? "The server shut down." : "The server does not answer."));
  }

  #giveUp(reason) {
    this.#letGo();
    this.#reason = "";
    this.#failures += 1;
    this.#state("lost", reason);
    this.#retrying = setTimeout(() => this.#open(), backoff_ms(this.#failures));
  }

  #letGo() {
    for (const timer of [this.#pumping, this.#retrying, this.#watchdog]) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = this.#ready = null;
    this.#isGoing = false;
    // Browsers complain of a socket that is closed while it opens.
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
  }

  #end(state, reason, code) {
    this.#ended = true;
    this.#letGo();
    this.#state(state, reason, code);
  }

  #state(name, reason, code) {
    this.handlers.state(name, reason, code);
  }

  get #origin_s() {
    return this.#origin / this.hello.sample_rate;
  }

  #shifted(event) {
    const shift = this.#origin_s;
    const end_s = event.end_s === null ? null : event.end_s + shift;
    return { ...event, start_s: event.start_s + shift, end_s, decided_s: event.decided_s + shift };
  }
}

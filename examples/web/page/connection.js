/** Stands in for the served page's module of this name: what hears the stream is no server but a worker of this page. */

import { setText } from "./text.js";

const MESSAGE_S = 0.25;
const BROKEN = "This browser can't run the models. Try a newer one.";
const TOO_SLOW = "The model can't keep up with the sound here.";

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });

/**
 * Handlers: state(name, reason) with name connecting, live, refused or ended; ready({settings, latency_ms}); event(event);
 * levels(start_s, frame_s, values); sound(int16 samples, number of the first); flushed(duration_s).
 */
export class Connection {
  #port;
  #flush = "none";
  #isLive = false;
  #isEnded = false;

  constructor(_url, hello, outbox, handlers) {
    this.hello = hello;
    this.outbox = outbox;
    this.handlers = handlers;
    // There is no connection that could be lost.
    this.resumed = 0;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = () => this.#refuse(BROKEN);
    worker.postMessage(hello, [port2]);
    handlers.state("connecting", "");
  }

  get isLive() {
    return this.#isLive;
  }

  /** Hands over what the outbox holds. */
  pump() {
    if (this.outbox.room < 0) return this.#refuse(TOO_SLOW);
    if (!this.#isLive) return;
    for (let part; (part = this.outbox.next(Math.round(MESSAGE_S * this.hello.sample_rate))) !== null; ) {
      const samples = part.slice();
      this.#port.postMessage(samples, [samples.buffer]);
    }
    if (this.#flush === "wanted") this.#sendFlush();
  }

  /** The sound ends here: asks for what is still under way. */
  flush() {
    this.#flush = "wanted";
    this.pump();
  }

  close() {
    this.#end("ended", "");
  }

  retry() {}

  hearLastWords() {}

  #hear({ ready, reason, events = [], levels, sound, first, received, step, isFlushed }) {
    if (this.#isEnded) return;
    if (reason !== undefined) return this.#refuse(reason);
    if (ready !== undefined) return this.#begin(ready);
    events.forEach((event) => this.handlers.event(event));
    if (levels?.values.length) this.handlers.levels(levels.start_s, levels.frame_s, levels.values);
    if (sound?.length) this.handlers.sound(sound, first);
    showStep(step);
    this.outbox.confirm(received);
    this.pump();
    if (isFlushed) this.handlers.flushed(received / this.hello.sample_rate);
  }

  #begin(ready) {
    this.#isLive = true;
    this.handlers.ready(ready);
    this.handlers.state("live", "");
    this.pump();
  }

  #sendFlush() {
    this.#flush = "sent";
    this.#port.postMessage("flush");
  }

  #refuse(reason) {
    this.#end("refused", reason);
  }

  #end(state, reason) {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#isLive = false;
    this.#port.postMessage("close");
    this.handlers.state(state, reason);
  }
}

/** The mean time of a step so far. */
function showStep({ steps, took_ms }) {
  if (steps > 0) setText(document.getElementById("step"), `${(took_ms / steps).toFixed(2)} ms`);
}

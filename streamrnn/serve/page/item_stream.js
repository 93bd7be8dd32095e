/** One stream of items over WebSockets (docs/protocol.md, Items): says hello, sends, and hears an answer per frame. */

import { backoff_ms, isFinal } from "./retrying.js";

// As many as fit into a message for certain.
const ITEMS_PER_MESSAGE = 32;

/**
 * Handlers: state(name, reason) with name connecting, live, lost or refused; answer(frame, message); error(text);
 * refused(n, why): item n since the beginning cannot be used and is left out, so that those after it move up by one.
 *
 * The items of a stream are kept until it is reset. After a lost connection they are sent to a new stream from the first
 * one on, and the same answers come again: what a page holds is short.
 */
export class ItemStream {
  #socket = null;
  #items = [];
  #sent = 0;
  // The sizes of messages that may still be refused, and how many items were taken before the first of them.
  #messages = [];
  #taken = 0;
  #resets = 0;
  #isLive = false;
  #failures = 0;
  #reason = "";

  constructor(url, hello, handlers) {
    Object.assign(this, { url, hello, handlers });
    window.addEventListener("online", () => this.#socket ?? this.#open());
    this.#open();
  }

  /** Sends items, each of them one frame. */
  send(items) {
    this.#items.push(...items);
    this.#pump();
  }

  /** Begins a new stream: answers to what was sent before are not given any more. */
  reset() {
    if (this.#items.length === 0) return;
    this.#items = [];
    this.#anew();
  }

  /** Nothing counts as sent any more. */
  #anew() {
    this.#sent = this.#taken = 0;
    this.#messages = [];
    if (!this.#isLive) return;
    this.#resets += 1;
    this.#tell({ type: "reset" });
  }

  /** One item of a message is left out. */
  #leaveOut({ item, received_samples: taken, why }) {
    // Messages before it were taken, each item as one frame.
    let before = this.#taken;
    while (before < taken) before += this.#messages.shift();
    this.#taken = taken;
    const size = this.#messages.shift();
    this.#items.splice(taken + item, 1);
    this.#sent -= 1;
    // The others of its message were not taken either; what was sent after it must not come before them.
    if (size > 1) this.#anew();
    this.handlers.refused(taken + item, why);
    this.#pump();
  }

  #open() {
    const socket = new WebSocket(this.url);
    const current = (act) => (event) => socket === this.#socket && act(event);
    socket.onopen = current(() => this.#tell({ type: "hello", version: 1, encoding: "json", ...this.hello }));
    socket.onmessage = current((event) => this.#hear(JSON.parse(event.data)));
    socket.onclose = current(() => this.#closed());
    this.#socket = socket;
    if (this.#failures === 0) this.handlers.state("connecting", "");
  }

  #hear(message) {
    switch (message.type) {
      case "ready":
        this.#isLive = true;
        this.#failures = this.#sent = this.#taken = this.#resets = 0;
        this.#messages = [];
        this.handlers.state("live", "");
        return this.#pump();
      case "was_reset":
        this.#resets -= 1;
        return;
      case "answer":
        // Not of a stream that was given up.
        if (this.#resets === 0) this.handlers.answer(message.frame, message);
        return;
      case "error":
        if (message.code === "bad_items" && this.#resets === 0) this.#leaveOut(message);
        else if (message.code !== "bad_items" && !message.fatal) this.handlers.error(message.message);
        if (!message.fatal) return;
        this.#reason = message.message;
        if (isFinal(message.code)) this.#refused();
    }
  }

  #pump() {
    while (this.#isLive && this.#sent < this.#items.length) {
      const items = this.#items.slice(this.#sent, this.#sent + ITEMS_PER_MESSAGE);
      this.#sent += items.length;
      this.#messages.push(items.length);
      this.#tell({ type: "items", items });
    }
  }

  #closed() {
    this.#socket = null;
    this.#isLive = false;
    this.#failures += 1;
    this.handlers.state("lost", this.#reason || "The server does not answer.");
    this.#reason = "";
    setTimeout(() => this.#socket ?? this.#open(), backoff_ms(this.#failures));
  }

  #refused() {
    const socket = this.#socket;
    this.#socket = { readyState: WebSocket.CLOSED };
    this.#isLive = false;
    this.handlers.state("refused", this.#reason);
    socket.close();
  }

  #tell(message) {
    this.#socket.send(JSON.stringify(message));
  }
}

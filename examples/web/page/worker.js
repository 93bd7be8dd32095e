/** Runs the models, apart from the page so that nothing it draws waits for them. */

import { env, InferenceSession } from "./ort/ort.js";
import { Cleaning, Hearing } from "./hearing.js";

// More threads need a page that special headers isolate, and a step is too small to be shared out.
env.wasm.numThreads = 1;

const models = new Map();
let work = Promise.resolve();

/** What one stream asks of its port: Int16Array of samples, "flush" or "close". */
class Visit {
  constructor({ model, sample_rate }, port) {
    this.port = port;
    this.isClosed = false;
    this.#inTurn(() => this.#open(model, sample_rate));
    port.onmessage = ({ data }) => this.#hear(data);
  }

  #hear(data) {
    if (data === "close") this.#close();
    else if (data === "flush") this.#inTurn(() => this.#finish());
    else this.#inTurn(() => this.#take(data));
  }

  /** One thing after another, of all visits: a step's state must be there before the next one. */
  #inTurn(act) {
    work = work.then(async () => {
      if (this.isClosed) return;
      try {
        await act();
      } catch (error) {
        this.port.postMessage({ reason: String(error.message ?? error) });
        this.#close();
      }
    });
  }

  #close() {
    this.isClosed = true;
    this.port.close();
  }

  async #open(name, sampleRate) {
    const { session, about } = await load(name);
    const Kind = about.decision_kind === "SoundSettings" ? Cleaning : Hearing;
    this.hearing = new Kind(session, about, sampleRate);
    this.port.postMessage({ ready: { settings: about.decision, latency_ms: this.hearing.latency_ms } });
  }

  async #take(samples) {
    this.#answer(await this.hearing.take(samples), {});
  }

  async #finish() {
    this.#answer(await this.hearing.finish(), { isFlushed: true });
  }

  #answer(heard, end) {
    const { steps, took_ms } = this.hearing.stream;
    this.port.postMessage({ ...heard, ...end, received: this.hearing.taken, step: { steps, took_ms } });
  }
}

/** {session, about} of a model, loaded once. */
function load(name) {
  if (!models.has(name)) models.set(name, fetchModel(name));
  const model = models.get(name);
  // What failed may go well another time.
  model.catch(() => models.delete(name));
  return model;
}

async function fetchModel(name) {
  const [bytes, about] = await Promise.all([
    fetchFile(`models/${name}.onnx`).then((answer) => answer.arrayBuffer()),
    fetchFile(`models/${name}.json`).then((answer) => answer.json()),
  ]);
  return { session: await InferenceSession.create(bytes), about };
}

async function fetchFile(path) {
  const answer = await fetch(new URL(path, import.meta.url));
  if (!answer.ok) throw new Error(`${path} can't be loaded (status ${answer.status}).`);
  return answer;
}

onmessage = ({ data: hello, ports: [port] }) => new Visit(hello, port);

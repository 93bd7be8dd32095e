/** One live stream of an exported model: blocks in, outputs out, the state kept in between (docs/export.md). */

import { Tensor } from "./ort/ort.js";

const ARRAYS = { float32: Float32Array, int32: Int32Array };

export class ModelStream {
  /** `session` is an ort.InferenceSession, `about` the model's metadata. */
  constructor(session, about) {
    this.session = session;
    this.about = about;
    this.block = new Float32Array(about.block_samples);
    this.filled = 0;
    this.early = about.warm_up_frames;
    this.pcm = new Tensor("float32", this.block, [1, about.block_samples]);
    this.state = Object.fromEntries(about.states.map((state) => [state.name, fresh(state)]));
    this.steps = 0;
    this.took_ms = 0;
  }

  /** Takes samples in [-1, 1]; calls use(outputs) for each frame that they complete. */
  async process(samples, use) {
    for (let from = 0; from < samples.length; ) {
      const part = samples.subarray(from, from + this.block.length - this.filled);
      this.block.set(part, this.filled);
      this.filled += part.length;
      from += part.length;
      if (this.filled === this.block.length) await this.#step(use);
    }
  }

  /** The frames still under way. */
  async flush(use) {
    const { block_samples, warm_up_frames } = this.about;
    const padding = (block_samples - this.filled) % block_samples;
    await this.process(new Float32Array(padding + warm_up_frames * block_samples), use);
  }

  async #step(use) {
    const began_ms = performance.now();
    const results = await this.session.run({ pcm: this.pcm, ...this.state });
    this.took_ms += performance.now() - began_ms;
    this.steps += 1;
    for (const { name, next } of this.about.states) this.state[name] = results[next];
    this.filled = 0;
    if (this.early > 0) this.early -= 1;
    else use(results.outputs.data);
  }
}

function fresh({ dtype, shape, initial = 0 }) {
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Array.isArray(initial) ? initial.flat(Infinity) : new Array(size).fill(initial);
  return new Tensor(dtype, ARRAYS[dtype].from(values), [1, ...shape]);
}

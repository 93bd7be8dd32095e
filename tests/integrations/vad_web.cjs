// @ricky0123/vad-web, outside a browser: its own wrapper of the model and its own decisions, on onnxruntime-web.
// node vad_web.cjs VAD.onnx REDEMPTION_MS MIN_SPEECH_MS SOUND.f32 ...   (float32 at 16 kHz)
// prints a line per sound: [[start_s, end_s], ...]

const { readFileSync } = require("node:fs");
const ort = require("onnxruntime-web");
const { FrameProcessor } = require("@ricky0123/vad-web/dist/frame-processor");
const { Message } = require("@ricky0123/vad-web/dist/messages");
const { Silero } = require("@ricky0123/vad-web/dist/models");
const { log } = require("@ricky0123/vad-web/dist/logging");

const BLOCK = 512;
const RATE = 16000;

async function main(file, redemptionMs, minSpeechMs, ...sounds) {
  ort.env.wasm.numThreads = 1;
  log.debug = () => {};
  const bytes = readFileSync(file);
  const model = await Silero.new(ort, async () => bytes);
  const blockMs = (1000 * BLOCK) / RATE;
  const options = {
    positiveSpeechThreshold: 0.5,
    negativeSpeechThreshold: 0.35,
    preSpeechPadMs: 0,
    redemptionMs,
    minSpeechMs,
    submitUserSpeechOnPause: false,
  };
  const waitedS = (Math.floor(redemptionMs / blockMs) * blockMs) / 1000;
  for (const sound of sounds) {
    const samples = new Float32Array(readFileSync(sound).buffer);
    const processor = new FrameProcessor(model.process, model.reset_state, options, blockMs);
    processor.resume();
    const found = [];
    let begun = 0;
    for (let at = 0; at + BLOCK <= samples.length; at += BLOCK) {
      await processor.process(samples.slice(at, at + BLOCK), ({ msg }) => {
        if (msg === Message.SpeechStart) begun = at / RATE;
        if (msg === Message.SpeechEnd) found.push([begun, (at + BLOCK) / RATE - waitedS]);
      });
    }
    console.log(JSON.stringify(found));
  }
}

const [file, redemptionMs, minSpeechMs, ...sounds] = process.argv.slice(2);
main(file, Number(redemptionMs), Number(minSpeechMs), ...sounds);

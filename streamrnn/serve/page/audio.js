/** Sound in and out of the browser: the microphone, the loudspeaker, and a recording that is played. */

const INSECURE =
  "This browser gives sound only to pages that were loaded over HTTPS or from this very computer (localhost).";

// Decided by the name of the DOMException that getUserMedia throws.
const MICROPHONE_ERRORS = {
  NotAllowedError:
    "The microphone is blocked for this page. Allow it in the browser's settings for this site (left of the address), " +
    "then press the button again.",
  NotFoundError: "No microphone was found. Plug one in, then press the button again. Recordings work without one.",
  NotReadableError: "The microphone can't be opened; another program may be using it. Close that one and try again.",
};

const PAUSED = "The browser has paused the microphone, for a call or another page. Come back to this page, and it goes on.";

/** An error whose message is meant for the person at the page. */
export class SoundError extends Error {}

async function startContext(options) {
  if (!window.isSecureContext) throw new SoundError(INSECURE);
  const context = new AudioContext(options);
  await context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
  // Not awaited: without a click the browser leaves this open until there is one.
  context.resume();
  // Phones stop the sound of pages in the background, and for calls; it does not come back by itself.
  const wake = () => document.hidden || context.state === "running" || context.state === "closed" || context.resume();
  document.addEventListener("visibilitychange", wake);
  context.addEventListener("statechange", () => context.state === "closed" && document.removeEventListener("visibilitychange", wake));
  return context;
}

function makeNode(context, name) {
  const one = { channelCount: 1, channelCountMode: "explicit" };
  const node = new AudioWorkletNode(context, name, { ...one, numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1] });
  node.connect(context.destination);
  return node;
}

/** The microphone, as it is: without the browser's own noise suppression. */
export class Microphone {
  /** Calls onEnd(message) when the microphone goes away by itself, and onPause(message) when the browser pauses it; the
   * message is empty when it goes on. Raises SoundError. */
  static async open(onEnd, onPause) {
    // The context first: what the microphone hears before somebody listens is lost.
    const context = await startContext({ latencyHint: "interactive" });
    try {
      return new Microphone(context, await askForMicrophone(), onEnd, onPause);
    } catch (error) {
      context.close();
      throw error;
    }
  }

  constructor(context, stream, onEnd, onPause) {
    let isPaused = false;
    context.addEventListener("statechange", () => {
      if (context.state === "closed" || (context.state === "running" && !isPaused)) return;
      isPaused = context.state !== "running";
      onPause(isPaused ? PAUSED : "");
    });
    this.context = context;
    this.stream = stream;
    this.sampleRate = context.sampleRate;
    this.onSamples = () => {};
    stream.getAudioTracks()[0].onended = () => onEnd("The microphone was taken away. Plug it in and press the button again.");
    this.node = makeNode(context, "capture");
    this.node.port.onmessage = ({ data }) => this.#pass(data);
    context.createMediaStreamSource(stream).connect(this.node);
  }

  #pass({ samples, time_ms }) {
    this.onSamples(samples, time_ms);
    this.node.port.postMessage(samples, [samples.buffer]);
  }

  /** Somewhere to play live sound. */
  loudspeaker() {
    return new Loudspeaker(this.context);
  }

  close() {
    this.node.port.onmessage = null;
    this.stream.getTracks().forEach((track) => track.stop());
    if (this.context.state !== "closed") this.context.close();
  }
}

async function askForMicrophone() {
  const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: raw });
  } catch (error) {
    throw new SoundError(MICROPHONE_ERRORS[error.name] ?? `The microphone can't be opened: ${error.message}`);
  }
}

/** Plays what it is given, a moment later, through a jitter buffer. Silent until it is switched on. */
class Loudspeaker {
  constructor(context) {
    this.node = makeNode(context, "jitter-buffer");
    this.isOn = false;
  }

  /** Plays samples, a Float32Array that is given away. */
  play(samples) {
    if (this.isOn) this.node.port.postMessage(samples, [samples.buffer]);
  }
}

/** Plays a recording and reports where it is: onPosition(sample, isPlaying). */
export class Player {
  static async open(recording) {
    return new Player(await startContext({ sampleRate: recording.sampleRate }), recording);
  }

  constructor(context, recording) {
    this.context = context;
    this.position = 0;
    this.isPlaying = false;
    this.onPosition = () => {};
    this.node = makeNode(context, "recording-player");
    this.node.port.onmessage = ({ data }) => this.#moved(data);
    this.#tell({ original: recording.samples });
  }

  #moved({ position, isPlaying }) {
    this.position = position;
    this.isPlaying = isPlaying;
    this.onPosition(position, isPlaying);
  }

  play() {
    this.context.resume();
    this.#tell({ isPlaying: true });
  }

  pause() {
    this.#tell({ isPlaying: false });
  }

  seek(position) {
    this.#tell({ position });
  }

  /** Which one is heard: "original" or "clean". */
  choose(version) {
    this.#tell({ version });
  }

  /** A piece of the cleaned sound, which begins at sample `at`. */
  addClean(clean, at) {
    this.#tell({ clean, at });
  }

  close() {
    this.node.port.onmessage = null;
    this.context.close();
  }

  #tell(message) {
    this.node.port.postMessage(message);
  }
}

/** When something is an event: sliders for the decision settings of a model, phrases to listen for, and code that asks
 * for the same. */

import { setText } from "./text.js";

/** Setting -> [what it is called, lowest, highest, step, unit]. Others keep the model's own value. */
const SLIDERS = {
  threshold: ["Begins at a probability of", 0.05, 0.99, 0.01, ""],
  min_speech_ms: ["Once it has lasted", 0, 1000, 10, "ms"],
  min_silence_ms: ["Ends after silence of", 50, 2000, 10, "ms"],
  padding_ms: ["Added around it", 0, 500, 10, "ms"],
  smoothing_ms: ["Mean over", 0, 2000, 10, "ms"],
  refractory_ms: ["Pause after a word", 0, 3000, 50, "ms"],
  endpoint_ms: ["An utterance ends after", 100, 2000, 50, "ms"],
  max_alarms_per_hour: ["False alarms per hour, at most", 0.1, 30, 0.1, ""],
  max_attenuation_db: ["Noise is lowered by at most", 0, 100, 1, "dB"],
};
const CHANGED_MS = 250;
const TYPED_MS = 1000;
const LANGUAGES = ["python", "js", "curl"];

const byId = (id) => document.getElementById(id);

export class Settings {
  /** Calls onChange() when somebody has moved a slider, or typed a phrase, and let it rest. */
  constructor(onChange) {
    this.onChange = onChange;
    this.model = null;
    /** The settings that differ from the model's own. */
    this.chosen = {};
    this.timer = 0;
    for (const language of LANGUAGES) byId(`code-${language}`).addEventListener("change", () => this.#showCode());
    byId("copy").addEventListener("click", () => this.#copy());
    byId("defaults").addEventListener("click", () => this.#reset());
  }

  /** Shows the sliders of a model, at its own values. */
  show(model) {
    if (model.name === this.model?.name) return;
    this.model = model;
    this.chosen = {};
    const { settings } = model;
    const takesPhrases = Array.isArray(settings.phrases);
    // A threshold of 0 stands for one that follows from the others.
    const known = Object.entries(SLIDERS).filter(([name]) => typeof settings[name] === "number" && (name !== "threshold" || settings[name] > 0));
    const rows = known.map(([name, slider]) => this.#slider(name, slider));
    byId("sliders").replaceChildren(...(takesPhrases ? [this.#phrases(settings.phrases)] : []), ...rows);
    byId("settings").hidden = rows.length === 0 && !takesPhrases;
    byId("settings").open ||= takesPhrases;
    byId("code").hidden = model.gives === "numbers" && !takesPhrases;
    this.#showCode();
  }

  #slider(name, [title, min, max, step, unit]) {
    const row = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "range", min, max, step });
    const value = document.createElement("output");
    const say = () => setText(value, `${Number(input.value)} ${unit}`.trim());
    input.name = name;
    input.value = this.model.settings[name];
    say();
    input.addEventListener("input", () => {
      say();
      this.#choose(name, Number(input.value), CHANGED_MS);
    });
    row.append(Object.assign(document.createElement("span"), { textContent: title }), input, value);
    return row;
  }

  /** What to listen for, a phrase a line. */
  #phrases(own) {
    const row = document.createElement("label");
    const input = Object.assign(document.createElement("textarea"), { rows: 3, value: own.join("\n"), placeholder: "turn on the light" });
    input.name = "phrases";
    input.addEventListener("input", () => {
      const lines = input.value.split("\n").map((line) => line.trim());
      this.#choose("phrases", lines.filter(Boolean), TYPED_MS);
    });
    row.append(Object.assign(document.createElement("span"), { textContent: "Listen for, a phrase a line" }), input);
    return row;
  }

  #choose(name, value, rest_ms) {
    this.chosen[name] = value;
    this.#showCode();
    clearTimeout(this.timer);
    this.timer = setTimeout(this.onChange, rest_ms);
  }

  #reset() {
    const model = this.model;
    this.model = null;
    this.show(model);
    this.onChange();
  }

  #showCode() {
    const language = LANGUAGES.find((each) => byId(`code-${each}`).checked);
    setText(byId("snippet"), CODE[language](this.model, this.chosen));
  }

  async #copy() {
    const { textContent } = byId("snippet");
    try {
      await navigator.clipboard.writeText(textContent);
      setText(byId("copy"), "Copied");
    } catch {
      getSelection().selectAllChildren(byId("snippet"));
      setText(byId("copy"), "Marked: copy it");
    }
    setTimeout(() => setText(byId("copy"), "Copy"), 2000);
  }
}

const CODE = {
  python({ name, gives }, chosen) {
    const given = Object.entries(chosen).map(([setting, value]) => `, ${setting}=${JSON.stringify(value)}`);
    const stream = `connect("${socket()}", "${name}", sample_rate=16_000${given.join("")})`;
    const what = gives === "sound" ? "stream.feed(chunk)  # of a microphone\n    clean = stream.sound()" : "for event in stream.feed(chunk):  # of a microphone\n        print(event)";
    return `from streamrnn.serve import connect\n\nwith ${stream} as stream:\n    ${what}\n`;
  },
  js({ name }, chosen) {
    const settings = JSON.stringify(chosen);
    const hello = `{ type: "hello", version: 1, model: "${name}", sample_rate: 16000, encoding: "s16le", channels: 1, settings: ${settings} }`;
    return (
      `const stream = new WebSocket("${socket()}");\n` +
      `stream.onopen = () => stream.send(JSON.stringify(${hello}));\n` +
      "stream.onmessage = ({ data }) => console.log(data);\n// then stream.send(new Int16Array(...)) as the sound comes\n"
    );
  },
  curl({ name }, chosen) {
    // A list is there once for each entry.
    const pairs = Object.entries(chosen).flatMap(([setting, value]) => [value].flat().map((each) => [setting, each]));
    const query = new URLSearchParams([["model", name], ...pairs]);
    return `curl -F file=@recording.wav "${location.origin}${folder()}v1/recordings?${query}"\n`;
  },
};

const folder = () => location.pathname.replace(/[^/]*$/, "");
const socket = () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${folder()}v1/stream`;

/** What is seen of a model that takes no sound: its name, its state, and a way to give it items. One class per kind. */

import { fitted } from "./canvas.js";
import { ItemStream } from "./item_stream.js";
import { readPalette } from "./palette.js";
import { setText } from "./text.js";

const SHOWN = 5;
const WORDS = /[\p{L}\p{N}_]+(?:['\u2019][\p{L}\p{N}_]+)*|[^\s\p{L}\p{N}_]/gu;
// What the strokes were drawn on that the model learned from, and the points of each.
const PAD = 100;
const POINTS = 8;
const LOOK_MS = 100;
const ROW_MS = 40;
const SEEN_ROWS = 96;
const MOST_REFUSED = 5;

const STATES = { connecting: "Connecting", live: "Live", lost: "Connection lost, trying again", refused: "Refused" };

/** An element of a class, with a text. */
function made(tag, name, text = "", attributes = {}) {
  const element = Object.assign(document.createElement(tag), { className: name, textContent: text });
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

class Card {
  constructor(model, url, token, about) {
    this.model = model;
    this.element = made("section", "card", "", { "aria-label": model.name });
    this.state = made("p", "state", "", { role: "status" });
    this.error = made("p", "error", "", { role: "alert" });
    this.element.append(made("h2", "", model.name), made("p", "about", about));
    this.build();
    this.element.append(this.error, this.state);
    this.stream = new ItemStream(url, { model: model.name, ...(token && { token }) }, {
      state: (name, reason) => this.#showState(name, reason),
      answer: (frame, answer) => {
        setText(this.error, "");
        this.hear(frame, answer);
      },
      error: (text) => setText(this.error, text),
      refused: (n, why) => this.refuse(n, why),
    });
  }

  /** Item n cannot be used and was left out. */
  refuse(_n, why) {
    setText(this.error, `It ${why}.`);
  }

  #showState(name, reason) {
    this.state.dataset.state = name;
    setText(this.state, reason && name !== "live" ? `${STATES[name]}: ${reason}` : STATES[name]);
  }
}

/** Posteriors as bars, the likeliest first. */
function showPosteriors(element, posteriors) {
  const likeliest = Object.entries(posteriors).sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  element.replaceChildren(
    ...likeliest.flatMap(([label, value]) => [
      made("span", "", label),
      made("meter", "", "", { min: 0, max: 1, value, "aria-label": label }),
      made("span", "", value.toFixed(2)),
    ]),
  );
}

/** A text that is answered word by word, while it is typed. */
class TextCard extends Card {
  build() {
    this.text = made("textarea", "", "", { "aria-label": `Text for ${this.model.name}`, spellcheck: "false" });
    this.answer = made("p", "answer");
    this.posteriors = made("div", "posteriors");
    this.along = made("p", "along");
    this.words = [];
    this.labels = [];
    this.text.addEventListener("input", () => this.#read());
    this.element.append(this.text, this.answer, this.posteriors, this.along);
  }

  #read() {
    const { value } = this.text;
    // Accents that are characters of their own would be words of their own.
    const words = value.normalize("NFC").match(WORDS) ?? [];
    // The last word may not be whole yet.
    if (/[\p{L}\p{N}_'\u2019]$/u.test(value)) this.#hurry(words);
    else this.#say(words);
  }

  #hurry(words) {
    clearTimeout(this.waiting);
    this.#say(words.slice(0, -1));
    this.waiting = setTimeout(() => this.#say(words), 400);
  }

  #say(words) {
    clearTimeout(this.waiting);
    const goesOn = words.length >= this.words.length && this.words.every((word, n) => word === words[n]);
    if (!goesOn) this.stream.reset();
    this.stream.send(goesOn ? words.slice(this.words.length) : words);
    this.words = words;
    this.labels.length = Math.min(this.labels.length, goesOn ? this.labels.length : 0);
    if (words.length === 0) this.#show("", {});
  }

  hear(frame, answer) {
    this.labels[frame] = answer.labels?.join(", ") ?? answer.label;
    this.#show(this.labels[frame] || (this.model.task === "intent" ? "a person" : "none"), answer.posteriors ?? {});
  }

  #show(label, posteriors) {
    setText(this.answer, label);
    showPosteriors(this.posteriors, posteriors);
    setText(this.along, this.words.map((word, n) => (this.labels[n] ? `${word} [${this.labels[n]}]` : word)).join(" "));
  }
}

/** A pad to draw on: what is drawn so far is asked about while the pen moves. */
class PadCard extends Card {
  build() {
    this.pad = made("canvas", "pad", "", { role: "img", "aria-label": "A pad to draw a digit on" });
    this.clear = made("button", "", "Clear", { type: "button" });
    this.answer = made("p", "answer");
    this.posteriors = made("div", "posteriors");
    this.along = made("p", "along");
    this.points = [];
    this.lines = [];
    this.pad.addEventListener("pointerdown", (event) => this.#begin(event));
    this.pad.addEventListener("pointermove", (event) => this.#draw(event));
    this.pad.addEventListener("pointerup", () => this.#end());
    this.pad.addEventListener("pointercancel", () => this.#end());
    this.clear.addEventListener("click", () => this.#forget());
    const buttons = made("div", "buttons");
    buttons.append(this.clear);
    this.element.append(this.pad, buttons, this.answer, this.posteriors, this.along);
  }

  #begin(event) {
    this.pad.setPointerCapture(event.pointerId);
    this.isDown = true;
    this.lines.push([]);
    this.#draw(event);
  }

  #draw(event) {
    if (!this.isDown) return;
    this.lines.at(-1).push([event.offsetX, event.offsetY]);
    this.#paint();
    const now = performance.now();
    if (now - (this.lookedAt ?? 0) < LOOK_MS) return;
    this.lookedAt = now;
    this.#ask();
  }

  #end() {
    if (!this.isDown) return;
    this.isDown = false;
    this.#ask();
  }

  #forget() {
    this.lines = [];
    this.stream.reset();
    setText(this.answer, "");
    setText(this.along, "");
    this.posteriors.replaceChildren();
    this.#paint();
  }

  #ask() {
    const points = spaced(this.lines.flat());
    if (points === null) return;
    this.labels = [];
    this.stream.reset();
    this.stream.send(points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`));
  }

  hear(frame, answer) {
    const [best] = Object.entries(answer.posteriors).reduce((a, b) => (b[1] > a[1] ? b : a));
    this.labels[frame] = best;
    setText(this.along, `after each of ${POINTS} points: ${this.labels.join(" ")}`);
    if (frame !== POINTS - 1) return;
    setText(this.answer, best);
    showPosteriors(this.posteriors, answer.posteriors);
  }

  #paint() {
    const context = this.pad.getContext("2d");
    const { width, height } = fitted(this.pad, context);
    const palette = readPalette(this.pad);
    context.clearRect(0, 0, width, height);
    Object.assign(context, { strokeStyle: palette.speech, lineWidth: 5, lineCap: "round", lineJoin: "round" });
    for (const line of this.lines) {
      context.beginPath();
      for (const [x, y] of line) context.lineTo(x, y);
      context.stroke();
    }
  }
}

/** A path as the model learned them: in a box of 0 to 100, its origin below on the left, in points that are equally far apart. */
export function spaced(path) {
  const far = [0];
  for (let n = 1; n < path.length; n++) far.push(far[n - 1] + Math.hypot(path[n][0] - path[n - 1][0], path[n][1] - path[n - 1][1]));
  const length = far.at(-1);
  if (!length) return null;
  const [lowX, lowY] = [0, 1].map((axis) => Math.min(...path.map((point) => point[axis])));
  const [highX, highY] = [0, 1].map((axis) => Math.max(...path.map((point) => point[axis])));
  const scale = PAD / Math.max(highX - lowX, highY - lowY);
  return Array.from({ length: POINTS }, (_, n) => {
    const at = (n / (POINTS - 1)) * length;
    const next = Math.max(1, far.findIndex((one) => one >= at - 1e-9));
    const share = (at - far[next - 1]) / (far[next] - far[next - 1] || 1);
    const [x, y] = [0, 1].map((axis) => path[next - 1][axis] + share * (path[next][axis] - path[next - 1][axis]));
    return [(x - lowX) * scale, (highY - y) * scale];
  });
}

/** A table that is read row by row, and the fan of what comes. */
class ChartCard extends Card {
  build() {
    this.file = made("input", "", "", { type: "file", accept: ".csv,text/csv", "aria-label": "Table" });
    this.column = made("select", "", "", { "aria-label": "Column" });
    this.chart = made("canvas", "chart", "", { role: "img", "aria-label": "The last rows, and the forecast" });
    this.column.hidden = true;
    this.answer = made("p", "answer");
    this.left = made("p", "left", "", { role: "status" });
    this.rows = [];
    this.file.addEventListener("change", () => this.#open());
    // The same file, mended, is a change too.
    this.file.addEventListener("click", () => (this.file.value = ""));
    this.column.addEventListener("change", () => this.#paint());
    const buttons = made("div", "buttons");
    buttons.append(this.file, this.column);
    this.element.append(buttons, this.chart, this.answer, this.left);
  }

  async #open() {
    const [file] = this.file.files;
    if (!file) return;
    const lines = (await file.text())
      .split(/\r?\n/)
      .map((text, n) => ({ text, number: n + 1 }))
      .filter(({ text }) => text.trim());
    clearInterval(this.playing);
    this.stream.reset();
    this.rows = [];
    this.refused = [];
    this.fans = null;
    setText(this.answer, "");
    setText(this.left, lines.length > 1 ? "" : `${file.name} has no rows.`);
    this.chart.getContext("2d").clearRect(0, 0, this.chart.width, this.chart.height);
    let at = /^\s*"?[-+.]?\d/.test(lines[0]?.text ?? "") ? 0 : 1;
    this.playing = setInterval(() => {
      if (at >= lines.length) return clearInterval(this.playing);
      const { text, number } = lines[at++];
      this.rows.push({ cells: text.replaceAll('"', "").split(","), number });
      this.stream.send([text]);
    }, ROW_MS);
  }

  refuse(n, why) {
    const [{ number }] = this.rows.splice(n, 1);
    this.refused.push(number);
    // A table of something else: its other rows are no better.
    const isOther = !this.fans && this.refused.length >= MOST_REFUSED;
    if (isOther) clearInterval(this.playing);
    const count = this.refused.length;
    const others = isOther ? "No line of this table can be used. " : count > 1 ? `${count} lines are left out. ` : "";
    setText(this.left, `${others}Line ${number} ${why}.`);
  }

  hear(frame, answer) {
    const names = Object.keys(answer.columns);
    if (this.column.options.length === 0) {
      this.column.replaceChildren(...names.map((name) => new Option(name, name)));
      this.column.value = names.at(-1);
      this.column.hidden = false;
    }
    this.names = names;
    this.fans = answer.columns;
    this.answered = frame + 1;
    this.#paint();
  }

  #paint() {
    if (!this.fans) return;
    const { mean, quantiles } = this.fans[this.column.value];
    const place = this.names.indexOf(this.column.value) - this.names.length;
    const seen = this.rows.slice(Math.max(0, this.answered - SEEN_ROWS), this.answered).map(({ cells }) => Number(cells.at(place)));
    const levels = Object.keys(quantiles).sort((a, b) => a - b);
    const [low, high] = [quantiles[levels[0]], quantiles[levels.at(-1)]];
    const last = mean.length;
    const percent = Math.round(100 * (levels.at(-1) - levels[0]));
    const range = `${percent} %: ${low[last - 1].toFixed(1)} to ${high[last - 1].toFixed(1)}`;
    setText(this.answer, `now ${seen.at(-1).toFixed(1)}, in ${last} rows ${mean[last - 1].toFixed(1)} (${range})`);
    const context = this.chart.getContext("2d");
    const { width, height } = fitted(this.chart, context);
    const all = [...seen, ...low, ...high];
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const x = (row) => ((row + SEEN_ROWS) / (SEEN_ROWS + last)) * width;
    const y = (value) => height - 8 - ((value - least) / (most - least || 1)) * (height - 16);
    const palette = readPalette(this.chart);
    const line = (values, from, colour) => {
      context.beginPath();
      values.forEach((value, n) => context.lineTo(x(from + n), y(value)));
      Object.assign(context, { strokeStyle: colour, lineWidth: 2 }).stroke();
    };
    context.clearRect(0, 0, width, height);
    context.beginPath();
    low.forEach((value, n) => context.lineTo(x(n + 1), y(value)));
    high.toReversed().forEach((value, n) => context.lineTo(x(last - n), y(value)));
    Object.assign(context, { fillStyle: palette["speech-soft"] }).fill();
    line(mean, 1, palette.speech);
    line(seen, 1 - seen.length, palette.ink);
  }
}

/** Lines, as `streamrnn run` reads them, and the answers as they come. */
class LineCard extends Card {
  build() {
    this.line = made("input", "", "", { type: "text", "aria-label": `A line for ${this.model.name}` });
    this.answer = made("pre", "along");
    const form = made("form", "buttons");
    form.append(this.line, made("button", "", "Send", { type: "submit" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.stream.send([this.line.value]);
      this.line.value = "";
    });
    this.element.append(form, this.answer);
  }

  hear(frame, { type: _type, seq: _seq, ...said }) {
    setText(this.answer, JSON.stringify(said).slice(0, 400));
  }
}

const KINDS = {
  intent: [TextCard, "What is wanted, after every word; what is nothing for it goes to a person."],
  emotion: [TextCard, "What a comment expresses, after every word."],
  pen: [PadCard, "Draw a digit, in one go or several."],
  forecast: [ChartCard, "Open a table: a date and its columns, a row per hour."],
};

/** The card of a model, and its stream. */
export function cardOf(model, url, token) {
  const [kind, about] = KINDS[model.task] ?? [LineCard, "A line in, an answer out, as of streamrnn run."];
  return new kind(model, url, token, about);
}

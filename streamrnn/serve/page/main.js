/** The page: buttons and captions around one session at a time. */

import { Microphone, Player, SoundError } from "./audio.js";
import { Captions } from "./captions.js";
import { Scope } from "./drawing.js";
import { LevelHistory, SoundHistory } from "./history.js";
import { byKind, describe, fetchModels, fetchSample, hears } from "./models.js";
import { Playback } from "./playback.js";
import { openRecording } from "./recording.js";
import { MicrophoneSession, RecordingSession } from "./session.js";
import { Settings } from "./settings.js";
import { notify, showNumbers, showState } from "./status.js";
import { setText } from "./text.js";
import { ViewClock } from "./time.js";
import { Timeline } from "./timeline.js";

const NUMBERS_MS = 250;
const WATCH_MS = 5000;
const RETRY_MS = 1000;
// A page without a server has neither samples nor sliders.
const CONTROLS = ["model", "microphone", "open", "sample"].filter((id) => document.getElementById(id));

const byId = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.models = [];
    this.token = "";
    this.session = null;
    this.recording = null;
    this.turn = 0;
    this.watching = 0;
    this.isDown = this.isRefused = false;
    this.clock = new ViewClock();
    this.scope = new Scope(byId("scope"));
    this.captions = new Captions(byId("now"), byId("log"));
    this.playback = new Playback(() => this.#playAgain());
    this.settings = byId("settings") ? new Settings(() => this.#hearAgain()) : { chosen: {}, show() {} };
    this.#listen();
    this.#watch();
    requestAnimationFrame((now_ms) => this.#frame(now_ms));
    setInterval(() => showNumbers(this.session), NUMBERS_MS);
  }

  #listen() {
    byId("microphone").addEventListener("click", () => (this.#isHearing ? this.#stopMicrophone() : this.#useMicrophone()));
    byId("open").addEventListener("click", () => byId("file").click());
    byId("file").addEventListener("change", (event) => this.#openFile(event.target));
    byId("sample")?.addEventListener("click", () => this.#useFile(() => fetchSample(this.#model)));
    byId("model").addEventListener("change", () => this.#changeModel());
    byId("hear-clean").addEventListener("change", () => this.#hearClean());
    byId("token-form").addEventListener("submit", (event) => this.#useToken(event));
    window.addEventListener("pagehide", () => this.#end());
    window.addEventListener("online", () => this.session?.connection.retry());
    listenForDrops((file) => this.#useFile(file));
  }

  // The server and its models

  /** Looks for the server now and from time to time: what the page says of it is true also while nothing is heard. */
  async #watch() {
    clearTimeout(this.watching);
    if (!this.#isBusy && !document.hidden) await this.#findModels();
    this.watching = setTimeout(() => this.#watch(), this.isDown ? RETRY_MS : WATCH_MS);
  }

  async #findModels() {
    const { models, needsToken, reason } = await fetchModels(this.token);
    if (this.#isBusy) return;
    this.isDown = reason !== undefined;
    if (this.isDown) return this.#showDown(reason);
    byId("token-form").hidden = !needsToken;
    if (needsToken) return this.#askForToken();
    this.#offer(models);
  }

  #showDown(reason) {
    showState("down", reason);
    this.#enable(false);
  }

  #offer(served) {
    const models = served.filter(hears);
    // The web runner is a page without the link.
    const link = document.getElementById("to-items");
    if (link) link.hidden = models.length === served.length;
    if (link && models.length === 0) return location.replace(link.href);
    const isNew = models.map(({ name }) => name).join() !== this.models.map(({ name }) => name).join();
    this.models = models;
    if (isNew) byId("model").replaceChildren(...byKind(models));
    this.#enable(true);
    setText(byId("about"), describe(this.#model));
    this.settings.show(this.#model);
    if (!this.isRefused) showState("ready");
  }

  #enable(isUsable) {
    for (const id of CONTROLS) byId(id).disabled = !isUsable;
    byId("invitation").hidden = !isUsable || this.session !== null;
  }

  #askForToken() {
    showState("token");
    this.#enable(false);
    if (document.activeElement === byId("token")) return;
    if (this.token) notify("The server does not know this token.");
    byId("token").focus();
  }

  #useToken(event) {
    event.preventDefault();
    notify("");
    this.token = byId("token").value;
    byId("token").blur();
    this.#watch();
  }

  get #model() {
    return this.models.find(({ name }) => name === byId("model").value);
  }

  #changeModel() {
    byId("about").textContent = describe(this.#model);
    this.settings.show(this.#model);
    this.#hearAgain();
  }

  /** With another model, or other settings. */
  #hearAgain() {
    if (this.#isHearing) this.#useMicrophone();
    else this.#playAgain();
  }

  // Sources

  get #isBusy() {
    return this.session !== null && !this.session.isOver;
  }

  get #isHearing() {
    return this.#isBusy && this.session instanceof MicrophoneSession && !this.session.isStopped;
  }

  async #useMicrophone() {
    await this.#start(async (isWanted) => {
      const microphone = await Microphone.open((reason) => this.#lostMicrophone(reason), notify);
      if (!isWanted()) return microphone.close();
      this.session = new MicrophoneSession(microphone, this.#model, this.#options);
      byId("monitor").hidden = this.session.clean === null;
      this.#hearClean();
    });
    this.#showButtons();
  }

  #stopMicrophone() {
    this.session.stop();
    byId("monitor").hidden = true;
    this.#showButtons();
  }

  #lostMicrophone(reason) {
    notify(reason);
    this.#stopMicrophone();
  }

  #openFile(input) {
    const [file] = input.files;
    input.value = "";
    if (file) this.#useFile(file);
  }

  async #useFile(file) {
    await this.#start(async (isWanted) => {
      const recording = await openRecording(file instanceof Function ? await file() : file);
      if (!isWanted()) return;
      this.recording = recording;
      await this.#play(isWanted);
    });
    this.#showButtons();
  }

  /** The same recording from its beginning: with another model, or at another pace. */
  async #playAgain() {
    if (!(this.session instanceof RecordingSession)) return;
    await this.#start((isWanted) => this.#play(isWanted));
  }

  async #play(isWanted) {
    const player = await Player.open(this.recording);
    if (!isWanted()) return player.close();
    this.session = new RecordingSession(this.recording, player, this.#model, { isAtOnce: this.playback.isAtOnce, ...this.#options });
    this.playback.show(this.session);
  }

  /** Ends what is going on and begins something else, unless a third thing was wanted meanwhile; says why, if that fails. */
  async #start(begin) {
    if (this.models.length === 0) return;
    const turn = ++this.turn;
    notify("");
    this.#end();
    this.captions.clear();
    try {
      await begin(() => turn === this.turn);
      byId("invitation").hidden = this.session !== null;
    } catch (error) {
      if (!(error instanceof SoundError)) throw error;
      notify(error.message);
    }
  }

  #end() {
    this.session?.end();
    this.session = null;
    this.isRefused = false;
    this.scope.isStale = true;
    this.playback.show(null);
    byId("monitor").hidden = true;
    byId("invitation").hidden = false;
    showState("ready");
  }

  get #options() {
    const { protocol, host, pathname } = location;
    const url = `${protocol === "https:" ? "wss" : "ws"}://${host}${pathname.replace(/[^/]*$/, "")}v1/stream`;
    return { url, token: this.token, settings: this.settings.chosen, view: this.#view() };
  }

  /** What a session tells; one that was ended has no say any more. */
  #view() {
    let mine = null;
    const current = (act) => (...values) => {
      mine ??= this.session;
      if (mine === this.session) act(...values);
    };
    return {
      state: current((name, reason, code) => this.#showConnection(name, reason, code)),
      ready: current((ready) => (byId("about").textContent = describe({ ...this.#model, latency_ms: ready.latency_ms }))),
      event: current((event) => this.captions.add(event)),
      restarted: current((time_s, reason) => this.#restarted(time_s, reason)),
      flushed: current((duration_s) => this.#finish(duration_s)),
      notice: current(notify),
      moved: current((position_s, isPlaying) => this.playback.moved(position_s, isPlaying)),
    };
  }

  #showConnection(name, reason, code) {
    showState(name === "ended" ? "ready" : name, reason);
    if (name !== "refused") return;
    this.isRefused = code !== "unauthorized";
    notify(`The stream was refused: ${reason}`);
    this.session.microphone?.close();
    this.#showButtons();
    this.#watch();
  }

  #restarted(time_s, reason) {
    this.captions.endOpen(time_s);
    this.captions.remark(time_s, `${reason} Another stream begins here.`);
  }

  #finish(duration_s) {
    this.captions.endOpen(duration_s);
    this.scope.isStale = true;
    this.#showButtons();
  }

  #hearClean() {
    if (this.session?.loudspeaker) this.session.loudspeaker.isOn = byId("hear-clean").checked;
  }

  #showButtons() {
    byId("microphone").textContent = this.#isHearing ? "Stop" : "Use the microphone";
    byId("microphone").dataset.on = this.#isHearing;
  }

  // Pictures

  #frame(now_ms) {
    const session = this.session ?? NOTHING;
    session.update();
    const before_s = this.clock.shown_s;
    const now_s = this.clock.advance(session.now_s, now_ms);
    if (this.#isBusy || now_s !== before_s || this.scope.isStale) this.#draw(session, now_s);
    requestAnimationFrame((next_ms) => this.#frame(next_ms));
  }

  #draw(session, now_s) {
    this.scope.draw(session, now_s);
    this.playback.draw(now_s);
    if (this.session) this.captions.update(session, now_s);
  }
}

/** What is drawn while nothing was heard. */
const NOTHING = {
  timeline: new Timeline(),
  heard: new SoundHistory(16_000),
  levels: new LevelHistory(0.01, 0),
  settings: {},
  now_s: 0,
  known_s: 0,
  isOver: true,
  update() {},
};

/** Calls use(file) for the first file that is dropped anywhere on the page. */
function listenForDrops(use) {
  const veil = byId("drop");
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragenter", (event) => (veil.hidden = !hasFile(event)));
  window.addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
  veil.addEventListener("dragleave", () => (veil.hidden = true));
  window.addEventListener("drop", (event) => {
    veil.hidden = true;
    if (!hasFile(event)) return;
    event.preventDefault();
    use(event.dataTransfer.files[0]);
  });
}

new Page();

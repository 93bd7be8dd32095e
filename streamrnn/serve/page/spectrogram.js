/** The picture of a sound's spectra, a ring of columns one pixel wide: only new columns are ever painted. */

import { COLUMNS, COLUMN_S } from "./history.js";
import { ROWS } from "./spectrum.js";

const WIDTH = 2048;

export class Spectrogram {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.canvas.width = WIDTH;
    this.canvas.height = ROWS;
    this.context = this.canvas.getContext("2d");
    this.column = new ImageData(1, ROWS);
    this.forget();
  }

  /** Paints everything anew the next time: the sound or the colours are others. */
  forget() {
    this.history = null;
    this.epoch = this.painted = 0;
  }

  /** Paints the columns that came since. */
  update(history, ramp) {
    if (history !== this.history || history.epoch !== this.epoch) {
      [this.history, this.epoch, this.painted] = [history, history.epoch, history.first];
    }
    const oldest = Math.max(history.first, history.end - WIDTH);
    for (let column = Math.max(this.painted, oldest); column < history.end; column++) this.#paint(history, column, ramp);
    this.painted = history.end;
  }

  #paint(history, column, ramp) {
    const pixels = this.column.data;
    const from = (column % COLUMNS) * ROWS;
    for (let row = 0; row < ROWS; row++) {
      const colour = 4 * history.rows[from + row];
      const at = 4 * (ROWS - 1 - row);
      for (let c = 0; c < 4; c++) pixels[at + c] = ramp[colour + c];
    }
    this.context.putImageData(this.column, column % WIDTH, 0);
  }

  /** Draws what lies between two times; `xOf` says where. */
  draw(context, from_s, xOf, pixelsPerSecond, y, height) {
    const oldest = Math.max(this.history.first, this.history.end - WIDTH + 1);
    let column = Math.max(oldest, Math.floor(from_s / COLUMN_S));
    while (column < this.painted) {
      const at = column % WIDTH;
      const n = Math.min(this.painted - column, WIDTH - at);
      const width = n * COLUMN_S * pixelsPerSecond;
      context.drawImage(this.canvas, at, 0, n, ROWS, xOf(column * COLUMN_S), y, width, height);
      column += n;
    }
  }
}

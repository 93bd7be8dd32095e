/** The colours of the canvas, as the style sheet names them. */

const NAMES = ["surface", "ink", "quiet", "line", "speech", "speech-soft", "word", "trace", "clean"];
const RAMP = ["--ramp-0", "--ramp-1", "--ramp-2", "--ramp-3", "--ramp-4"];

/** Colours and fonts by name, and `ramp`: 256 colours of the spectrogram as RGBA, quiet to loud. */
export function readPalette(element) {
  const style = getComputedStyle(element);
  const read = (name) => style.getPropertyValue(name).trim();
  const palette = Object.fromEntries(NAMES.map((name) => [name, read(`--${name}`)]));
  const font = style.fontFamily;
  const fonts = { small: `12px ${font}`, strong: `600 15px ${font}` };
  return { ...palette, ...fonts, silence: read(RAMP[0]), ramp: makeRamp(RAMP.map(read).map(parseHex)) };
}

function parseHex(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function makeRamp(stops) {
  const ramp = new Uint8ClampedArray(4 * 256).fill(255);
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (stops.length - 1);
    const below = Math.min(stops.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c++) {
      ramp[4 * level + c] = stops[below][c] + (place - below) * (stops[below + 1][c] - stops[below][c]);
    }
  }
  return ramp;
}

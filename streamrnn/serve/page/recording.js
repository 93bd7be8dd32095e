/** Audio files: decoded at their own rate, so that nothing is resampled before the server hears it. */

import { SoundError } from "./audio.js";

const LOWEST_RATE = 8000;
const HIGHEST_RATE = 96000;
const USUAL_RATE = 48000;
const LONGEST_S = 1800;
const HEADER_BYTES = 512;

/** {name, samples (mono, Float32Array), sampleRate, duration_s}. Raises SoundError. */
export async function openRecording(file) {
  const bytes = await file.arrayBuffer();
  const sampleRate = Math.max(LOWEST_RATE, Math.min(HIGHEST_RATE, rateInHeader(bytes) ?? USUAL_RATE));
  const decoded = await decode(bytes, sampleRate, file.name);
  if (decoded.length === 0) throw new SoundError(`${file.name} holds no sound.`);
  if (decoded.duration > LONGEST_S) {
    throw new SoundError(`${file.name} is longer than half an hour. Use “streamrnn run” for recordings as long as that.`);
  }
  return { name: file.name, samples: mixedDown(decoded), sampleRate, duration_s: decoded.duration };
}

async function decode(bytes, sampleRate, name) {
  try {
    return await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(bytes);
  } catch {
    throw new SoundError(`${name} can't be decoded. Most browsers read WAVE, FLAC, MP3, Ogg and M4A.`);
  }
}

function mixedDown(decoded) {
  const mixed = decoded.getChannelData(0).slice();
  for (let channel = 1; channel < decoded.numberOfChannels; channel++) {
    const samples = decoded.getChannelData(channel);
    for (let n = 0; n < mixed.length; n++) mixed[n] += samples[n];
  }
  if (decoded.numberOfChannels > 1) for (let n = 0; n < mixed.length; n++) mixed[n] /= decoded.numberOfChannels;
  return mixed;
}

/** The sample rate by the file's header, in Hz; undefined where it is not known. (decodeAudioData does not tell.) */
function rateInHeader(bytes) {
  const view = new DataView(bytes, 0, Math.min(bytes.byteLength, HEADER_BYTES));
  const text = String.fromCharCode(...new Uint8Array(bytes, 0, view.byteLength));
  const format = text.indexOf("fmt ");
  if (text.startsWith("RIFF") && format > 0 && format + 16 <= view.byteLength) return view.getUint32(format + 12, true);
  // STREAMINFO is the first block: its 80th bit begins a rate of 20 bits.
  if (text.startsWith("fLaC") && view.byteLength > 22) return view.getUint32(18) >>> 12;
  const vorbis = text.indexOf("\x01vorbis");
  if (text.startsWith("OggS") && vorbis > 0 && vorbis + 16 <= view.byteLength) return view.getUint32(vorbis + 12, true);
  return undefined;
}

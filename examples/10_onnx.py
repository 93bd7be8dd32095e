"""Hear with an exported model, by ONNX Runtime and soundfile alone. `streamrnn export vad vad.onnx` writes one.

python examples/10_onnx.py MODEL.onnx RECORDING       ("mic" for the microphone, by sounddevice)
"""

import json
import sys

import numpy as np
import onnxruntime
import soundfile

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["streamrnn"])
block_samples, frame_s, late, decision = map(about.get, ("block_samples", "frame_s", "warm_up_frames", "decision"))
lasting = {key: max(1, int(np.ceil(round(ms / 1000 / frame_s, 6)))) for key, ms in decision.items() if "ms" in key}


def blocks(source):
    if source == "mic":
        import sounddevice

        with sounddevice.InputStream(about["sample_rate"], block_samples, channels=1, dtype="float32") as microphone:
            while True:
                yield microphone.read(block_samples)[0][:, 0]
    sound, sample_rate = soundfile.read(source, dtype="float32", always_2d=True)
    if sample_rate != about["sample_rate"]:
        sys.exit(f"{source} has {sample_rate} Hz, and the model hears {about['sample_rate']} Hz. Convert it first.")
    sound = np.pad(sound.mean(axis=1), (0, -len(sound) % block_samples + late * block_samples))
    yield from sound.reshape(-1, block_samples)


def speech(p, t, onset=-1, last=-1, began=False):
    """The event of frame t, if any, and what to remember: onset and last frame of speech, and whether it was told."""
    if p[0] >= decision["threshold" if onset < 0 else "off_threshold"]:
        onset = t if onset < 0 else onset
        begins = not began and t - onset + 1 >= lasting["min_speech_ms"]
        return "speech_start" if begins else None, onset, t, began or begins
    ends = began and t - last >= lasting["min_silence_ms"]
    return "speech_end" if ends else None, -1 if ends or not began else onset, last, began and not ends


def keyword(p, t, past=(), held=(), ready=0):
    means = np.sum(past := [*past, p][-lasting["smoothing_ms"] :], axis=0) / lasting["smoothing_ms"]
    words = (number for number, label in enumerate(about["labels"]) if label not in ("silence", "unknown"))
    word, held = max(words, key=means.__getitem__), [each for each in held if means[each] >= decision["threshold"]]
    if means[word] < decision["threshold"] or word in held or t < ready:
        return None, past, held, ready
    return about["labels"][word], past, [*held, word], t + lasting["refractory_ms"]


state = {s["name"]: np.full((1, *s["shape"]), s.get("initial", 0), s["dtype"]) for s in about["states"]}
decide, memory = {"SpeechSettings": speech, "KeywordSettings": keyword}[about["decision_kind"]], ()
for t, block in enumerate(blocks(sys.argv[2]), -late):
    outputs, *after = session.run(None, {"pcm": block[None], **state})
    state = dict(zip(state, after, strict=True))
    event, *memory = decide(np.asarray(outputs, float)[0], t, *memory) if t >= 0 else (None,)
    if event is not None:
        print(f"{(t + 1) * frame_s + about['lookahead_s']:6.2f} s  {event}", flush=True)

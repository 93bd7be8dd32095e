"""Writes expected/NAME.json: the events that the shipped voice activity model finds in each recording, live.

Run it from the root of the project, after a change that is meant to move the numbers:

    python audio_samples/make_expected.py
"""

import argparse
import json
from pathlib import Path

import streamrnn

SAMPLES = Path(__file__).parent


def main() -> None:
    arguments = parsed_arguments()
    model = streamrnn.load(arguments.model)
    arguments.out.mkdir(exist_ok=True)
    for path in sorted(SAMPLES.iterdir()):
        if path.suffix in (".flac", ".ogg", ".wav"):
            events = list(streamrnn.listen(model, path))
            (arguments.out / f"{path.stem}.json").write_text(as_json(events))
            print(f"{path.name}: {len(events)} events")


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vad", help="name or path of the model")
    parser.add_argument("--out", type=Path, default=SAMPLES / "expected", help="folder of the .json files")
    return parser.parse_args()


def as_json(events: list[streamrnn.Event]) -> str:
    """A list of events, one per line."""
    return "[\n" + ",\n".join(json.dumps(event.to_dict()) for event in events) + "\n]\n"


if __name__ == "__main__":
    main()

"""Writes the mean of the weights of several trainings of one model.

    python scripts/average_weights.py OUT MODEL MODEL ... --shares 0.3 0.7

MODEL and OUT are .safetensors files; OUT gets settings, decision and task of the first.
"""

import argparse

from streamrnn.pretrained import average, describe, load, locate, save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--shares", nargs="+", type=float)
    options = parser.parse_args()
    mean = average([load(path) for path in options.models], options.shares)
    save(mean, options.out, task=describe(locate(options.models[0]))["task"])
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()

"""The phonemes of English: the 39 of the CMU Pronouncing Dictionary, without stress.

Source: the ARPAbet (Advanced Research Projects Agency, 1971-76) in CMUdict's notation.
"""

PHONEMES = (
    *(
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
        "K",
    ),
    *("L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)

VOWELS = frozenset(
    ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"),
)

# Outputs of a phoneme model: the probability of the blank, then of each phoneme.
BLANK = 0
IDS = {phoneme: number for number, phoneme in enumerate(PHONEMES, start=1)}

__all__ = ["BLANK", "IDS", "PHONEMES", "VOWELS"]

"""Model cards: what whoever ships a model has to say of it, and whether a card says it."""

import re
from hashlib import sha256
from pathlib import Path

# What a card needs -> a pattern of it.
PARTS = {
    "a section Training, with the command": r"^## Training\n(.|\n)*?^    streamrnn train",
    "the data and their licences, a table with a column licence or the card that has it": (
        r"^\|.*\blicence\b.*\|$|with the same licences"
    ),
    "a section Consent: on what basis people's voices were used": r"^## Consent\n+\s*[^#\s]",
    "a section Figures": r"^## Figures\n+\s*[^#\s]",
    "a section Audit, with the command": r"^## Audit\n(.|\n)*?^    streamrnn (audit|evaluate)",
    "in Audit, the weights that were audited": r"^Weights [0-9a-f]{12}, \d{4}-\d\d-\d\d\.",
    "in Audit, a row on groups": r"^\| groups\b.*\|.*\S.*\|$",
    "in Audit, a row on privacy": r"^\| privacy\b.*\|.*\S.*\|$",
    "in Audit, a row on oversight": r"^\| oversight\b.*\|.*\S.*\|$",
    "a section Known weaknesses": r"^## Known weaknesses\n+\s*[^#\s]",
}
TEMPLATE = """# {name}

What it does, for what sound, and what it is not for.

## Training
    streamrnn train TASK --data RECORDINGS

| use | source | licence |
| --- | --- | --- |
|  |  |  |

## Consent

## Figures

## Audit
    streamrnn audit groups {name} --data RECORDINGS --by COLUMN
    streamrnn audit privacy {name} --data RECORDINGS

Weights {digest}, YYYY-MM-DD.

| asked | found |
| --- | --- |
| groups |  |
| privacy |  |
| oversight |  |

## Known weaknesses
"""


def missing_parts(card: str) -> list[str]:
    """What a card of this text lacks, in words; [] for a complete one."""
    return [part for part, pattern in PARTS.items() if not re.search(pattern, card, re.MULTILINE)]


def weights_digest(weights: Path) -> str:
    """The first 12 digits of the SHA-256 of a .safetensors file, by which a card names the weights."""
    return sha256(weights.read_bytes()).hexdigest()[:12]


def audited_digest(card: str) -> str | None:
    """The weights that a card's audit names."""
    found = re.search(r"^Weights ([0-9a-f]{12}),", card, re.MULTILINE)
    return found[1] if found else None


__all__ = ["PARTS", "TEMPLATE", "audited_digest", "missing_parts", "weights_digest"]

"""Sentences to listen for, as people write them: words, [optional ones], (alternatives | others), {slots}."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from reprlib import repr as shortened

from streamrnn.phonetics.numerals import cardinal

# Deeper nesting is a mistake.
DEEPEST = 16
# Slots of every grammar: their values, each with the texts that mean it.
DIGITS = {str(digit): (cardinal(digit), *(("oh",) if digit == 0 else ())) for digit in range(10)}
NUMBERS = {str(number): (cardinal(number),) for number in range(101)}
BUILT_IN: dict[str, Mapping[str, tuple[str, ...]]] = {"digit": DIGITS, "number": NUMBERS}
# {digits} matches up to this many digits in a row.
MOST_DIGITS = 8
# A slash at the beginning or end of a word; a slash between two words has no meaning.
_HALF = re.compile(r"(?<![^\s\[\]()|{}])/(?=[^\s\[\]()|{}])|(?<=[^\s\[\]()|{}])/(?![^\s\[\]()|{}])")
_TOKENS = re.compile(r"/[^/]*/|[\[\]()|{}]|[^\[\]()|{}/]+|/")


@dataclass(frozen=True)
class Said:
    """Spoken words."""

    text: str


@dataclass(frozen=True)
class Maybe:
    """Optional parts."""

    parts: "Parts"


@dataclass(frozen=True)
class OneOf:
    """Alternatives."""

    ways: "tuple[Parts, ...]"


@dataclass(frozen=True)
class Slot:
    """One of the values of a slot."""

    name: str


Parts = tuple[Said | Maybe | OneOf | Slot, ...]


@dataclass(frozen=True)
class Sentence:
    """A sentence to listen for.

    Attributes:
        label: of its events: the phrase as typed, or the intent.
        text: as written.
        parts: what is said, in order.
    """

    label: str
    text: str
    parts: Parts


@dataclass(frozen=True)
class Grammar:
    """Sentences, and the values of their slots: name -> value -> the texts that mean it."""

    sentences: tuple[Sentence, ...]
    slots: Mapping[str, Mapping[str, tuple[str, ...]]]


def typed(phrase: str) -> Sentence:
    """A typed phrase as a sentence, labelled with its text.

    Raises:
        ValueError: brackets or slashes do not match, or it has a slot, which only grammars may have.
    """
    sentence = Sentence(" ".join(phrase.split()), phrase, parsed(phrase))
    if slot := next(_slots(sentence.parts), None):
        raise ValueError(f"{phrase!r} has the slot {{{slot}}}, which only grammars may have. Write a grammar file.")
    return sentence


def grammar_from(text: str) -> Grammar:
    """Parses a grammar, the text of a TOML file:

        [intents]
        light = ["set the light to {colour}", "turn (on|off) [all] lights"]
        [slots]
        colour = ["red", "green", "blue"]
        [slots.scene]
        night = ["good night", "time for bed"]

    A slot is a list of values, or maps each value to the texts that mean it. {digit}, {digits} (up to MOST_DIGITS of
    them) and {number} (0 to 100) are built in.

    Raises:
        TypeError: text is not a str.
        ValueError: it is not TOML, has no sentence, or uses an unknown slot; the message says where.
    """
    if not isinstance(text, str):
        came = f"a {type(text).__name__}"
        raise TypeError(f'A grammar got {came}; it needs a text, such as Path("lights.toml").read_text().')
    try:
        # Some editors write a byte order mark before the text.
        found = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        if text.strip().endswith(".toml") and len(text.strip().splitlines()) == 1:
            raise ValueError(
                f"The grammar is {text.strip()[:200]!r}, a path; the text of that file is needed. Pass "
                f'Path({text.strip()[:200]!r}).read_text(encoding="utf-8").'
            ) from None
        raise ValueError(f"The grammar is not TOML ({error}). Write [intents], and lists of sentences in it.") from None
    # Raised by the parser for numbers of thousands of digits, and for thousands of nested brackets.
    except (ValueError, RecursionError):
        raise ValueError("The grammar has an overlong number or too many nested brackets. Remove them.") from None
    if unknown := found.keys() - {"intents", "slots"}:
        raise ValueError(f"The grammar has [{min(unknown)}]; only [intents] and [slots] are allowed. Rename it.")
    slots = {**BUILT_IN, **{name: _values(name, of) for name, of in _table(found, "slots").items()}}
    sentences: list[Sentence] = []
    for intent, texts in _table(found, "intents").items():
        if not intent.strip():
            raise ValueError('The grammar has an intent without a name. Name it: light = ["turn on the light"].')
        sentences += [Sentence(intent, text, parsed(text)) for text in _texts(f"The intent {intent!r}", texts)]
    if not sentences:
        raise ValueError('The grammar has no sentence. Write some: [intents], and light = ["turn on the light"].')
    for sentence in sentences:
        names = list(_slots(sentence.parts))
        if unknown := [name for name in names if name not in (*slots, "digits")]:
            known = ", ".join((*slots, "digits"))
            raise ValueError(f"{sentence.text!r} has the unknown slot {{{unknown[0]}}}. Known slots: {known}.")
        often = [name for name, count in Counter(names).items() if count > 1]
        if twice := [name for name in often if not _apart(sentence.parts, name)]:
            raise ValueError(
                f"{sentence.text!r} has the slot {{{twice[0]}}} twice. Give one of them another name, with the same "
                "values."
            )
    return Grammar(tuple(sentences), slots)


def parsed(text: str) -> Parts:
    """Parses a written sentence.

    Raises:
        ValueError: brackets or slashes do not match, or every word is optional.
    """
    if _HALF.search(re.sub(r"/[^/]*/", " ", text)):
        raise ValueError(f"{text!r} has an unmatched slash. Write sounds between two slashes: hey /N OW V AH/.")
    tokens = [token for token in _TOKENS.findall(text) if token.strip()]
    parts, rest = _sequence(tokens, text, 0)
    if rest:
        raise ValueError(f"{text!r} has an unmatched {rest[0]!r}. Close every bracket, or leave it out.")
    if not _needed(parts):
        raise ValueError(f"{text!r} has no required word. Write one outside [brackets].")
    return parts


def _sequence(tokens: list[str], text: str, depth: int) -> tuple[Parts, list[str]]:
    """The parts up to a closing bracket or a bar, and the remaining tokens."""
    if depth > DEEPEST:
        raise ValueError(f"{text[:40]!r}... nests brackets more than {DEEPEST} deep. Write it flatter.")
    parts: list[Said | Maybe | OneOf | Slot] = []
    while tokens and tokens[0] not in ("]", ")", "}", "|"):
        token, tokens = tokens[0], tokens[1:]
        if token in ("[", "("):
            ways, tokens = _ways(tokens, text, depth, "]" if token == "[" else ")")
            parts.append(Maybe((OneOf(ways),)) if token == "[" else OneOf(ways))
        elif token == "{":
            if len(tokens) < 2 or tokens[1] != "}" or not re.fullmatch(r"\w+", tokens[0].strip()):
                raise ValueError(f"{text!r} has an invalid slot; write {{name}}, a name of letters and digits.")
            parts.append(Slot(tokens[0].strip()))
            tokens = tokens[2:]
        else:
            parts.append(Said(token.strip()))
    return tuple(parts), tokens


def _ways(tokens: list[str], text: str, depth: int, end: str) -> tuple[tuple[Parts, ...], list[str]]:
    ways: list[Parts] = []
    while True:
        way, tokens = _sequence(tokens, text, depth + 1)
        ways.append(way)
        if not tokens or tokens[0] not in ("|", end):
            raise ValueError(f"{text!r} lacks {end!r}. Close every bracket.")
        token, tokens = tokens[0], tokens[1:]
        if not way:
            raise ValueError(f"{text!r} has empty brackets or an empty alternative. Write words there.")
        if token == end:
            return tuple(ways), tokens


def _needed(parts: Parts) -> bool:
    return any(
        any(map(str.isalnum, part.text)) if isinstance(part, Said) else not isinstance(part, Maybe) for part in parts
    )


def _slots(parts: Parts) -> Iterator[str]:
    for part in parts:
        match part:
            case Slot():
                yield part.name
            case Maybe():
                yield from _slots(part.parts)
            case OneOf():
                for way in part.ways:
                    yield from _slots(way)


def _apart(parts: Parts, name: str) -> bool:
    """Whether no way through the parts contains the slot twice."""
    return _most(parts, name) < 2


def _most(parts: Parts, name: str) -> int:
    count = 0
    for part in parts:
        match part:
            case Slot():
                count += part.name == name
            case Maybe():
                count += _most(part.parts, name)
            case OneOf():
                count += max(_most(way, name) for way in part.ways)
    return count


def _table(found: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"The grammar's {name} is {shortened(table)}; it must be a table. Write [{name}] above it.")
    return table


def _values(name: str, of: object) -> Mapping[str, tuple[str, ...]]:
    if name == "digits" or name in BUILT_IN:
        raise ValueError(f"The slot {{{name}}} is built in. Give yours another name.")
    if isinstance(of, dict):
        return {value: _texts(f"The value {value!r} of the slot {name!r}", texts) for value, texts in of.items()}
    return {text: (text,) for text in _texts(f"The slot {name!r}", of)}


def _texts(owner: str, texts: object) -> tuple[str, ...]:
    if isinstance(texts, str):
        return (texts,)
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f'{owner} is {shortened(texts)}; it must be a list of texts, such as ["red", "green"].')
    return tuple(texts)


__all__ = [
    "MOST_DIGITS",
    "Grammar",
    "Maybe",
    "OneOf",
    "Parts",
    "Said",
    "Sentence",
    "Slot",
    "grammar_from",
    "parsed",
    "typed",
]

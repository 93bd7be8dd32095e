"""Numbers in English words."""

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_LARGE = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"), (100, "hundred"))
LARGEST = 10**12
_SAYABLE = f"numbers from 0 to {LARGEST - 1} can. Write it in words"
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """Spells out a number: 42 -> "forty two"; 1999 -> "one thousand nine hundred ninety nine".

    Raises:
        ValueError: it is negative, or LARGEST and above.
    """
    if not 0 <= number < LARGEST:
        raise ValueError(f"{number} can't be spelt; {_SAYABLE}.")
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _TENS[tens - 2] + (f" {_SMALL[rest]}" if rest else "")
    size, name = next(each for each in _LARGE if number >= each[0])
    many, rest = divmod(number, size)
    return f"{cardinal(many)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    """21 -> "twenty first".

    Raises:
        ValueError: as `cardinal`.
    """
    *rest, last = cardinal(number).split()
    said = _ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
    return " ".join([*rest, said])


def as_number(digits: str) -> int:
    """Converts digits to a number.

    Raises:
        ValueError: it is LARGEST or above.
    """
    # Python refuses to convert thousands of digits.
    if len(digits.lstrip("0")) > len(str(LARGEST)):
        raise ValueError(f"{digits[:20]}... ({len(digits)} digits) can't be spelt; {_SAYABLE}.")
    return int(digits)


def spelt(digits: str) -> str:
    """Digits, possibly with a decimal point, as words; with a leading zero they are read one by one.

    Raises:
        ValueError: as `cardinal`.
    """
    whole, point, fraction = digits.partition(".")
    one_by_one = len(whole) > 1 and whole.startswith("0")
    said = " ".join(_SMALL[int(digit)] for digit in whole) if one_by_one else cardinal(as_number(whole))
    return said if not point else f"{said} point {' '.join(_SMALL[int(digit)] for digit in fraction)}"


__all__ = ["LARGEST", "as_number", "cardinal", "ordinal", "spelt"]

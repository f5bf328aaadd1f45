"""The texts that are drawn: words, numbers, prices, dates, URLs, codes, and strings of no sense.

Real words teach what text usually looks like; made-up words and random strings keep a recogniser
from guessing words instead of reading letters. Everything comes from one numpy generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ocr_models.errors import ConfigError

from .fonts import PRINTABLE

CHARSET = PRINTABLE + " "
"""The 95 characters of the default recogniser, in the order of ``string.printable``."""

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = "0123456789"
_SYMBOLS = "".join(c for c in PRINTABLE if not c.isalnum())
_WORDS_FILE = Path(__file__).with_name("words.txt")

_DOMAINS = ("com", "org", "net", "co.uk", "de", "fr", "io", "info", "eu", "shop", "es", "it", "ca")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS = (
    "kg", "g", "mg", "lb", "oz", "ml", "cl", "l", "L", "m", "cm", "mm", "km", "ft", "in", "mph",
    "km/h", "kW", "V", "W", "A", "Hz", "GB", "MB", "pcs", "pm", "am", "hrs", "min", "%", "x", "p",
)  # fmt: skip
_WRAPPERS = ("()", "[]", "{}", '""', "''", "<>", "**", "--", "~~", "__", "``", "||")
_TAILS = (",", ".", ":", "!", "?", ";", "...", "'s", "*", "!!", "?!", "-", ")", "(", "/")


@dataclass(frozen=True)
class WordLists:
    """What ``words.txt`` holds."""

    english: tuple[str, ...]
    signs: tuple[str, ...]
    names: tuple[str, ...]


@lru_cache(maxsize=1)
def word_lists() -> WordLists:
    """Read ``words.txt``: three sections, each opened by a line that starts with ``#``."""
    sections: list[list[str]] = []
    for line in _WORDS_FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            sections.append([])
        elif line:
            sections[-1].append(line)
    english, signs, names = (tuple(section) for section in sections)
    return WordLists(english=english, signs=signs, names=names)


@dataclass(frozen=True)
class CorpusConfig:
    """How often each kind of text is drawn (relative weights), and what is added to it.

    ``two_words_ratio`` is the share of texts that hold two words and a space;
    ``punctuation_ratio`` the share that gets a mark or a pair of brackets attached.
    """

    english: float = 0.34
    signs: float = 0.10
    names: float = 0.08
    pseudo_words: float = 0.14
    numbers: float = 0.07
    prices: float = 0.05
    dates: float = 0.04
    times: float = 0.02
    phones: float = 0.02
    urls: float = 0.03
    codes: float = 0.04
    random_strings: float = 0.05
    symbols: float = 0.02
    punctuation_ratio: float = 0.13
    two_words_ratio: float = 0.05
    max_length: int = 25

    def __post_init__(self) -> None:
        if self.max_length < 4:
            raise ConfigError(f"max_length is {self.max_length}; it must be at least 4")
        weights = [getattr(self, name) for name in _KINDS]
        if min(weights) < 0 or sum(weights) <= 0:
            raise ConfigError(f"corpus weights are {weights}; none may be negative, nor all zero")
        for name in ("punctuation_ratio", "two_words_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")


def _pick(rng: np.random.Generator, items: tuple[str, ...] | str) -> str:
    return items[int(rng.random() * len(items))]


def _chars(rng: np.random.Generator, alphabet: str, count: int) -> str:
    size = len(alphabet)
    return "".join(alphabet[int(value * size)] for value in rng.random(count))


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included (cheaper than ``rng.integers``)."""
    return low + int(rng.random() * (high - low + 1))


def _cased(rng: np.random.Generator, word: str) -> str:
    """Lower, Title, UPPER or, now and then, mIxEd case."""
    roll = rng.random()
    if roll < 0.40:
        return word.lower()
    if roll < 0.66:
        return word[:1].upper() + word[1:]
    if roll < 0.95:
        return word.upper()
    flips = rng.random(len(word)) < 0.5
    return "".join(c.upper() if flip else c.lower() for c, flip in zip(word, flips, strict=True))


@lru_cache(maxsize=1)
def _bigram_followers() -> dict[str, str]:
    """Letter chains of the English list: which letters follow a pair, as often as they do."""
    followers: dict[str, list[str]] = {}
    for word in word_lists().english:
        padded = f"^^{word}$"
        for i in range(2, len(padded)):
            followers.setdefault(padded[i - 2 : i], []).append(padded[i])
    return {pair: "".join(letters) for pair, letters in followers.items()}


def _english(rng: np.random.Generator) -> str:
    return _cased(rng, _pick(rng, word_lists().english))


def _sign(rng: np.random.Generator) -> str:
    return _cased(rng, _pick(rng, word_lists().signs))


def _name(rng: np.random.Generator) -> str:
    name = _pick(rng, word_lists().names)
    return name.upper() if rng.random() < 0.35 else name


def _pseudo_word(rng: np.random.Generator) -> str:
    """A pronounceable word that does not exist, or letters strung together."""
    if rng.random() < 0.3:
        return _cased(rng, _chars(rng, _LOWER, _between(rng, 2, 9)))
    followers = _bigram_followers()
    word = ""
    pair = "^^"
    while len(word) < 12:
        letter = _pick(rng, followers[pair])
        if letter == "$":
            if len(word) > 2:
                break
            pair, word = "^^", ""
            continue
        word += letter
        pair = pair[1] + letter
    return _cased(rng, word)


def _number(rng: np.random.Generator) -> str:
    digits = _chars(rng, _DIGITS, _between(rng, 1, 7))
    roll = rng.random()
    if roll < 0.5:
        return digits
    if roll < 0.62:
        return f"{int(digits):,}"
    if roll < 0.74:
        return f"{digits[:4]}.{_chars(rng, _DIGITS, _between(rng, 1, 2))}"
    if roll < 0.84:
        return f"{digits[:4]}{_pick(rng, _UNITS)}"
    if roll < 0.90:
        return f"{digits[:2]}%" if rng.random() < 0.7 else f"-{digits[:2]}%"
    if roll < 0.94:
        return f"{digits[:2]}/{_chars(rng, _DIGITS, _between(rng, 1, 3))}"
    if roll < 0.97:
        return f"{_pick(rng, '+-=<>#~')}{digits[:4]}"
    return f"{digits[:3]}{_pick(rng, ('st', 'nd', 'rd', 'th'))}"


def _price(rng: np.random.Generator) -> str:
    whole = str(int(10 ** (rng.random() * 3.3)))
    cents = _pick(rng, ("00", "50", "99", "95", "49")) if rng.random() < 0.5 else ""
    cents = cents or _chars(rng, _DIGITS, 2)
    separator = "," if rng.random() < 0.25 else "."
    amount = f"{whole}{separator}{cents}" if rng.random() < 0.8 else whole
    roll = rng.random()
    if roll < 0.5:
        return f"${amount}"
    if roll < 0.8:
        return amount
    return amount + _pick(rng, ("USD", "EUR", "GBP", "$", "/kg", "/lb", "-", "c"))


def _date(rng: np.random.Generator) -> str:
    day, month, year = _between(rng, 1, 31), _between(rng, 1, 12), _between(rng, 1950, 2039)
    roll = rng.random()
    if roll < 0.6:
        mark = _pick(rng, "/.-")
        short = year % 100 if rng.random() < 0.4 else year
        first, second = (day, month) if rng.random() < 0.5 else (month, day)
        return f"{first:02d}{mark}{second:02d}{mark}{short:02d}"
    if roll < 0.75:
        return f"{year}-{month:02d}-{day:02d}"
    if roll < 0.85:
        return f"{day:02d}{_pick(rng, _MONTHS)}{year % 100:02d}"
    if roll < 0.93:
        return f"{year}"
    return f"'{year % 100:02d}" if rng.random() < 0.5 else f"{_pick(rng, _MONTHS)}-{year}"


def _time(rng: np.random.Generator) -> str:
    hour, minute = _between(rng, 0, 23), _between(rng, 0, 11) * 5
    clock = f"{hour:02d}{':' if rng.random() < 0.8 else '.'}{minute:02d}"
    roll = rng.random()
    if roll < 0.5:
        return clock
    if roll < 0.7:
        return f"{hour % 12 + 1}{_pick(rng, ('am', 'pm', 'AM', 'PM'))}"
    if roll < 0.85:
        return f"{clock}-{(hour + 8) % 24:02d}:00"
    return f"{clock}:{_between(rng, 0, 59):02d}"


def _phone(rng: np.random.Generator) -> str:
    a, b, c = _chars(rng, _DIGITS, 3), _chars(rng, _DIGITS, 3), _chars(rng, _DIGITS, 4)
    roll = rng.random()
    if roll < 0.3:
        return f"{a}-{b}-{c}"
    if roll < 0.5:
        return f"({a}){b}-{c}"
    if roll < 0.7:
        return f"+{_between(rng, 1, 99)}{a}{b}{c}"
    if roll < 0.85:
        return f"0{a}{b}{c}"
    return f"{a}.{b}.{c}"


def _url(rng: np.random.Generator) -> str:
    words = word_lists()
    name = _pick(rng, words.signs)
    if rng.random() < 0.3:
        name += _pick(rng, ("-", "_", "")) + _pick(rng, words.signs)
    host = f"{name}.{_pick(rng, _DOMAINS)}"
    roll = rng.random()
    if roll < 0.35:
        text = f"www.{host}"
    elif roll < 0.55:
        text = host
    elif roll < 0.7:
        text = f"{_pick(rng, words.names).lower()}@{host}"
    elif roll < 0.8:
        text = f"http{'s' if rng.random() < 0.7 else ''}://{host}"
    elif roll < 0.9:
        text = f"@{name}"
    else:
        text = f"#{name}" if rng.random() < 0.5 else f"{host}/{_pick(rng, words.english)}"
    return text.upper() if rng.random() < 0.12 else text


def _code(rng: np.random.Generator) -> str:
    """Number plates, article and room numbers, serials, hexadecimal, identifiers."""
    roll = rng.random()
    if roll < 0.3:
        return _chars(rng, _UPPER, _between(rng, 1, 3)) + _chars(rng, _DIGITS, _between(rng, 1, 4))
    if roll < 0.5:
        mark = _pick(rng, "-/.:_")
        left = _chars(rng, _UPPER + _DIGITS, _between(rng, 2, 4))
        return f"{left}{mark}{_chars(rng, _UPPER + _DIGITS, _between(rng, 2, 5))}"
    if roll < 0.8:
        return _chars(rng, _UPPER + _DIGITS, _between(rng, 3, 10))
    if roll < 0.9:
        return _chars(rng, _LOWER + _UPPER + _DIGITS, _between(rng, 3, 10))
    return f"{_pick(rng, ('No.', '#', 'N', 'Ref:', 'ID:', 'A'))}{_chars(rng, _DIGITS, 4)}"


def _random_string(rng: np.random.Generator) -> str:
    return _chars(rng, PRINTABLE, _between(rng, 2, 8))


def _symbols(rng: np.random.Generator) -> str:
    """Words and numbers joined by or led by a mark that is rare elsewhere: ``a_b``, ``7=12``."""
    mark = _pick(rng, _SYMBOLS)
    words = word_lists()
    roll = rng.random()
    if roll < 0.2:
        return mark if mark.strip("`'\"^,.-_~") else mark + _chars(rng, _DIGITS, 1)
    if roll < 0.6:
        return f"{_pick(rng, words.english)[:8]}{mark}{_pick(rng, words.english)[:8]}"
    if roll < 0.8:
        return f"{mark}{_pick(rng, words.english)[:8]}"
    return f"{_chars(rng, _DIGITS, 2)}{mark}{_chars(rng, _DIGITS, 2)}"


_KINDS: dict[str, Callable[[np.random.Generator], str]] = {
    "english": _english,
    "signs": _sign,
    "names": _name,
    "pseudo_words": _pseudo_word,
    "numbers": _number,
    "prices": _price,
    "dates": _date,
    "times": _time,
    "phones": _phone,
    "urls": _url,
    "codes": _code,
    "random_strings": _random_string,
    "symbols": _symbols,
}
_WORDLIKE = ("english", "signs", "names", "pseudo_words", "numbers")


class Corpus:
    """Draws texts of at most ``config.max_length`` characters out of ``CHARSET``."""

    def __init__(self, config: CorpusConfig | None = None) -> None:
        self.config = config if config is not None else CorpusConfig()
        weights = np.array([getattr(self.config, name) for name in _KINDS], dtype=np.float64)
        self._thresholds = np.cumsum(weights / weights.sum()).tolist()
        self._generators = list(_KINDS.values())
        self._names = list(_KINDS)

    def text(self, rng: np.random.Generator) -> str:
        """One text: usually a single word, sometimes two with a space between."""
        first = self.word(rng)
        if rng.random() < self.config.two_words_ratio:
            pair = f"{first} {self.word(rng)}"
            if len(pair) <= self.config.max_length:
                return pair
        return first

    def prose(self, rng: np.random.Generator) -> str:
        """One word as in running text: mostly lower case, now and then a comma or a full stop."""
        roll = rng.random()
        if roll < 0.15:
            return self.word(rng)
        word = _pick(rng, word_lists().english if roll < 0.85 else word_lists().signs)
        if rng.random() < 0.15:
            word = word[:1].upper() + word[1:]
        return word + _pick(rng, ",.;:") if rng.random() < 0.13 else word

    def price(self, rng: np.random.Generator) -> str:
        """A price, as at the end of a line of a menu or a receipt."""
        return _price(rng)

    def word(self, rng: np.random.Generator) -> str:
        """One word without spaces, perhaps with punctuation attached."""
        roll = rng.random()
        index = 0
        while index < len(self._thresholds) - 1 and roll >= self._thresholds[index]:
            index += 1
        text = self._generators[index](rng)
        if self._names[index] in _WORDLIKE and rng.random() < self.config.punctuation_ratio:
            text = self._punctuated(rng, text)
        return text[: self.config.max_length]

    def _punctuated(self, rng: np.random.Generator, text: str) -> str:
        roll = rng.random()
        if roll < 0.6:
            return text + _pick(rng, _TAILS)
        if roll < 0.8:
            pair = _pick(rng, _WRAPPERS)
            return f"{pair[0]}{text}{pair[1]}"
        if roll < 0.9:
            return _pick(rng, _SYMBOLS) + text
        joined = _pick(rng, ("-", "'", "&", "/", ".", "_", "+", "-"))
        return f"{text}{joined}{_pick(rng, word_lists().signs)}"

"""The phones of Russian as the labels of Debian's `festvox-ru` write them.

Two equal letters are a palatalised consonant (`tt`) or a stressed vowel (`aa`); `ay`, `ae`, `ur` and `yy`-like ones are
reduced vowels. In a text, phones are separated by spaces, and "|" is a pause: k a r | rr ae ch.
"""

CONSONANTS = (
    *("b", "bb", "c", "ch", "d", "dd", "f", "ff", "g", "gg", "h", "hh", "j", "k", "kk", "l", "ll", "m", "mm", "n"),
    *("nn", "p", "pp", "r", "rr", "s", "sch", "sh", "ss", "t", "tt", "v", "vv", "z", "zh", "zz"),
)
VOWELS = ("a", "aa", "ae", "ay", "e", "ee", "i", "ii", "oo", "u", "ur", "uu", "y", "yy")
SYMBOLS = (" ", *CONSONANTS, *VOWELS)
"""What a recogniser of phones writes. Their order is frozen: it numbers the classes of trained models."""

__all__ = ["CONSONANTS", "SYMBOLS", "VOWELS"]

"""The regular expressions of AWS's service models, which are written for Java, as Python's."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

_PROPERTY = re.compile(r"\\p\{(\w+)\}")
_SURROGATES = r"\uD800\uDC00-\uDBFF\uDFFF"
_ASTRAL = r"\U00010000-\U0010FFFF"
_LENGTH_TYPO = re.compile(r"\$\{\d+,\d+\}$")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    r"""The pattern of a shape, to be used with `fullmatch`.

    Java's character properties (`\p{L}`, `\p{Alnum}`) become explicit ranges, surrogate pairs the code points they
    mean. Two patterns of SageMaker end in `${1,128}`, which matches nothing anywhere: the length is left out, as the
    shape's own `max` says it already.
    """
    pattern = _LENGTH_TYPO.sub("", pattern).replace(_SURROGATES, _ASTRAL)
    return re.compile(_PROPERTY.sub(lambda match: _ranges(match[1]), pattern), re.ASCII)


@cache
def _ranges(name: str) -> str:
    """The inside of a character class with every character of a Unicode category (`L`: all of Lu, Ll, …)."""
    if name == "Alnum":
        return "a-zA-Z0-9"
    spans: list[list[int]] = []
    for point in range(sys.maxunicode + 1):
        if unicodedata.category(chr(point)).startswith(name):
            if spans and spans[-1][1] == point - 1:
                spans[-1][1] = point
            else:
                spans.append([point, point])
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in spans)

"""The request that has its turn."""

from __future__ import annotations


class Present:
    """`changing`: it may change something, so what it looks at is written again."""

    changing = False

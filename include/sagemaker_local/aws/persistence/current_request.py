"""The request that moto is answering; moto answers one at a time."""

from __future__ import annotations


class CurrentRequest:
    """`changing` says that it may change something, so that whatever it looks at is written again."""

    changing = False

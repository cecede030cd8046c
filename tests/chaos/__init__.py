"""The fault suite: what must hold when processes die, services fail and people interfere. `make chaos`."""

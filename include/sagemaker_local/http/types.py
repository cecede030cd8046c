"""The types of HTTP messages that everything behind the web server shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from wsgiref.types import WSGIEnvironment

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application and its arguments; the keys of scopes and messages are in https://asgi.readthedocs.io/en/latest/specs/www.html."""

Environ = WSGIEnvironment
"""A request, as WSGI describes it (PEP 3333): `PATH_INFO`, `HTTP_HOST`, `wsgi.input` and so on."""
Headers = list[tuple[str, str]]
Reply = tuple[int, Headers, bytes]
"""Status, headers and body; the body may be a `Content`, whose bytes are on disk."""

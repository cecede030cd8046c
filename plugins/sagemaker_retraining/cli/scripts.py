"""`lint` of a model's scripts: whether the Python of its image can read them."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from sagemaker_retraining.config import model_folder
from sagemaker_retraining.config.images import newest_release, release_of
from sagemaker_retraining.config.model import Image
from sagemaker_retraining.plan import code_files

NEW_NAMES = {
    "contextlib.chdir": (3, 11),
    "datetime.UTC": (3, 11),
    "enum.ReprEnum": (3, 11),
    "enum.StrEnum": (3, 11),
    "hashlib.file_digest": (3, 11),
    "itertools.batched": (3, 12),
    "tomllib": (3, 11),
    "typing.LiteralString": (3, 11),
    "typing.Never": (3, 11),
    "typing.NotRequired": (3, 11),
    "typing.Self": (3, 11),
    "typing.Unpack": (3, 11),
    "typing.assert_never": (3, 11),
    "typing.override": (3, 12),
}
"""Modules and names of the standard library that scripts are likely to use, and the Python they came with."""


def syntax_problems(model: str, root: Path) -> Iterator[str]:
    """Scripts that Python cannot read, found before a machine costs money."""
    for file, code in _scripts(model, root):
        try:
            compile(code, file, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            yield f"{file}:{getattr(error, 'lineno', None) or 1}: is not Python: {getattr(error, 'msg', error)}"


def newer_syntax(model: str, image: Image, root: Path) -> Iterator[str]:
    """Lines of scripts that only a newer Python than the image's can read, if the image's Python is known."""
    release = release_of(image.uri or "")
    if release is None:
        return
    version = "{}.{}".format(*release.python)
    for file, code in _scripts(model, root):
        if not _is_python(code, file):
            continue  # syntax_problems reports it
        try:
            ast.parse(code, file, feature_version=release.python)
        except SyntaxError as error:
            yield f"{file}:{error.lineno or 1}: the image's Python is {version}: {error.msg}"
        for line in _nested_quotes(code) if release.python < (3, 12) else ():
            yield f"{file}:{line}: the image's Python is {version}: the same quotes inside an f-string came with 3.12"


def name_warnings(model: str, image: Image, root: Path) -> Iterator[str]:
    """Names of the standard library that are newer than the image's Python. A script may do without them there."""
    release = release_of(image.uri or "")
    if release is None:
        return
    for file, code in _scripts(model, root):
        for line, name in _names(ast.parse(code)) if _is_python(code, file) else ():
            if (came := NEW_NAMES.get(name, (3, 0))) > release.python:
                image_python = "{}.{}".format(*release.python)
                yield f"{file}:{line}: {name} came with {came[0]}.{came[1]}, the image's Python is {image_python}"


def today() -> date:
    """The date in UTC."""
    return datetime.now(UTC).date()


def image_warnings(image: Image) -> Iterator[str]:
    """A warning when the image gets no more patches."""
    release = release_of(image.uri or "")
    if release is None or today() <= release.patched_until:
        return
    version, newest = newest_release(image.uri or "")
    better = f"{version} does until {newest.patched_until}" if newest is not release else "no newer one is known here"
    name = (image.uri or "").rpartition("/")[2]
    yield f"image: {name} gets no patches since {release.patched_until}; {better} (docs/configuration.md)"


def _scripts(model: str, root: Path) -> Iterator[tuple[str, bytes]]:
    folder = model_folder(model, root)
    for name in code_files(folder):
        if name.endswith(".py"):
            yield str((folder / name).relative_to(root.parent)), (folder / name).read_bytes()


def _is_python(code: bytes, file: str) -> bool:
    try:
        compile(code, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What a script uses of modules, as far as can be seen without running it: `datetime.UTC`, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module)
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.lineno, f"{node.value.id}.{node.attr}"


def _nested_quotes(code: bytes) -> Iterator[int]:
    """Lines with an f-string that has its own quotes inside; older Pythons, which cannot read them, yield none."""
    open_quotes: list[str] = []
    for token in tokenize.tokenize(io.BytesIO(code).readline):
        kind = tokenize.tok_name[token.type]
        if kind in ("FSTRING_START", "STRING"):
            quote = token.string.lstrip("rRbBfFuU")
            quote = quote[:3] if quote[:3] in ('"""', "'" * 3) else quote[:1]
            if quote in open_quotes:
                yield token.start[0]
            if kind == "FSTRING_START":
                open_quotes.append(quote)
        elif kind == "FSTRING_END":
            open_quotes.pop()

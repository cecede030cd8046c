"""A picture of what imports what, drawn from the imports: the folders of a package as a Mermaid flowchart.

Only the arrows that say something new are drawn: where a folder imports another one and also something that imports it,
the direct arrow is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from graphlib import TopologicalSorter

import grimp


def imports_between_folders(package: str) -> dict[str, set[str]]:
    """Each folder or module at the top of a package, and those that it imports; its `__main__` is left out."""
    graph = grimp.build_graph(package.partition(".")[0], cache_dir=None)
    modules = [module for module in graph.modules if module.startswith(f"{package}.")]
    imports: dict[str, set[str]] = {folder_of(module, package): set() for module in modules}
    for module in modules:
        folder = folder_of(module, package)
        imported = {folder_of(name, package) for name in graph.find_modules_directly_imported_by(module)}
        imports[folder] |= (imported & imports.keys()) - {folder}
    imports.pop("__main__", None)
    return imports


def folder_of(module: str, package: str) -> str:
    """`plan` of `sagemaker_retraining.plan.names`; empty for what is not in the package."""
    return module[len(package) + 1 :].partition(".")[0] if module.startswith(f"{package}.") else ""


def reduced(imports: Mapping[str, Set[str]]) -> dict[str, set[str]]:
    """The transitive reduction, importers first. Raises graphlib.CycleError when folders import each other."""
    below: dict[str, set[str]] = {}
    for folder in TopologicalSorter(imports).static_order():
        below[folder] = set(imports[folder]).union(*(below[name] for name in imports[folder]))
    return {
        folder: {name for name in imports[folder] if not any(name in below[other] for other in imports[folder])}
        for folder in sorted(below, key=lambda name: (-len(below[name]), name))
    }


def mermaid(package: str) -> str:
    """The flowchart, as GitHub draws it in a Markdown page."""
    imports = reduced(imports_between_folders(package))
    arrows = [f"    {folder} --> {' & '.join(sorted(names))}" for folder, names in imports.items() if names]
    drawn = {name for folder, names in imports.items() if names for name in {folder, *names}}
    alone = [f"    {folder}" for folder in imports if folder not in drawn]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, *alone, "```"])

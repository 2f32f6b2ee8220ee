"""CEL's compiled module, without its package's command line.

`import cel` also imports `cel.cli`, and with it prompt_toolkit, rich and typer: 0.26 of the
0.5 s that a start may take for CEL, and 20 MB, for a prompt that nobody opens. So the
extension is loaded from the package's folder by itself.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_NAME = "cel.cel"


def _load() -> ModuleType:
    loaded = sys.modules.get(_NAME)
    if loaded is not None:  # somebody has imported the whole package: an extension is loaded once
        return loaded
    package = importlib.util.find_spec("cel")
    if package is None or not package.submodule_search_locations:
        raise ImportError("the package common-expression-language is not installed")
    folder = Path(package.submodule_search_locations[0])
    for suffix in EXTENSION_SUFFIXES:
        path = folder / f"cel{suffix}"
        if path.exists():
            loader = ExtensionFileLoader(_NAME, str(path))
            spec = ModuleSpec(_NAME, loader, origin=str(path))
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
            return module
    raise ImportError(f"no compiled CEL in {folder}")


_native: Any = _load()
Context: Any = _native.Context
compile: Any = _native.compile  # noqa: A001 — its own name

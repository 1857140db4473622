"""What code a step's result rests on, computed from the source and never listed by hand.

The package is read as symbols: every function, class and constant at the top of a module. A step
rests on its function, on the classes of its argument, and on every symbol that these name,
transitively, lazily imported ones included; of a module that is named as a whole, on all of it; and
on every data file of the package whose name stands in that code as a text.

Symbols are hashed as normalised syntax: without comments, layout, docstrings, annotations of
functions and texts of errors. Wording therefore never makes a step run again, and a number, an
operator or a setting always does. Annotations in classes are kept: to pydantic and to dataclasses
they are behaviour.

What cannot be seen this way is looked for by a test that watches real steps run: every function
that is called has to be among those computed here (``tests/study/test_code_watched.py``).
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from metasight.engine.cache import cache_folder, write_whole
from metasight.provenance import hash_json

PACKAGE = "metasight"
_STATEMENTS = "<module>"
"""Symbol of the statements of a module that define nothing: they run when it is imported."""
_WORDS_OF_ERRORS = frozenset({"problem", "remedy", "where", "accepted"})
_TABLE_FORMAT = 1

Symbol = tuple[str, str]
"""Module and name."""


@dataclass(frozen=True)
class Reached:
    """The code that a step rests on.

    Attributes
    ----------
    symbols
        ``module:name`` → sha256 of its normalised syntax; ``file:name`` → sha256 of a data file.
    packages
        Other packages that this code imports, by the names of their modules.
    """

    symbols: Mapping[str, str]
    packages: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """One sha256 of all of it."""
        return hash_json(dict(sorted(self.symbols.items())))


@dataclass
class _Symbol:
    """A definition: its hash, what it names, and texts that may be names of data files."""

    digest: str
    names: list[list[str]] = field(default_factory=list)
    imports: dict[str, list[str]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


@dataclass
class _Module:
    symbols: dict[str, _Symbol] = field(default_factory=dict)
    imports: dict[str, list[str]] = field(default_factory=dict)


_PARSED: dict[tuple[str, str], _Module] = {}
"""Module and sha256 of its text → its symbols."""
_TABLES_KEPT = 4
"""Tables of earlier states of the source that are kept."""


class CodeBase:
    """The package's source as symbols.

    Parameters
    ----------
    root
        Folder of the package.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._reached: dict[tuple[Symbol, ...], Reached] = {}

    @cached_property
    def digest(self) -> str:
        """sha256 over every source file of the package as it is, wording included."""
        digest = hashlib.sha256()
        for path in self._sources:
            digest.update(str(path.relative_to(self.root)).encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()

    @cached_property
    def _sources(self) -> list[Path]:
        return sorted(self.root.rglob("*.py"))

    @cached_property
    def _data(self) -> dict[str, list[Path]]:
        """Data files of the package by name."""
        found: dict[str, list[Path]] = {}
        for folder, below, names in os.walk(self.root):
            below[:] = sorted(d for d in below if d != "__pycache__")
            for name in sorted(names):
                if not name.endswith((".py", ".pyc", ".nbi", ".nbc")):
                    found.setdefault(name, []).append(Path(folder) / name)
        return found

    @cached_property
    def _modules(self) -> dict[str, _Module]:
        """Symbols of every module; read once for a state of the source and then remembered."""
        remembered = cache_folder() / "code" / f"{_TABLE_FORMAT}-{self.digest}.json"
        try:
            return _from_table(json.loads(remembered.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not there yet, or cut short: it is made again
        made = {self._name(path): self._module(path) for path in self._sources}
        before = sorted(remembered.parent.glob("*.json"), key=lambda p: p.stat().st_mtime)
        for old in before[:-_TABLES_KEPT]:
            old.unlink(missing_ok=True)
        write_whole(remembered, json.dumps(_as_table(made)))
        return made

    def _module(self, path: Path) -> _Module:
        """Symbols of one file; a file that was read in this process is not parsed again."""
        text = path.read_text("utf-8")
        name = self._name(path)
        key = (name, hashlib.sha256(text.encode()).hexdigest())
        if key not in _PARSED:
            _PARSED[key] = _read_module(text, name, is_package=path.name == "__init__.py")
        return _PARSED[key]

    def _name(self, path: Path) -> str:
        parts = [PACKAGE, *path.relative_to(self.root).with_suffix("").parts]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def reached(self, starts: Iterable[Symbol]) -> Reached:
        """The code that definitions rest on, themselves included.

        Parameters
        ----------
        starts
            Module and name of each definition.

        Raises
        ------
        KeyError
            The package has no such definition.
        """
        key = tuple(sorted(set(starts)))
        if key not in self._reached:
            self._reached[key] = self._walk(key)
        return self._reached[key]

    def of_importers(self, module: str) -> Reached:
        """The code of every module that imports names of ``module``, and all that it reaches."""
        return self.reached(
            (name, symbol)
            for name, m in self._modules.items()
            if any(target[0] == module for target in m.imports.values())
            for symbol in m.symbols
        )

    def _walk(self, starts: tuple[Symbol, ...]) -> Reached:
        waiting = list(starts)
        seen: set[Symbol] = set()
        symbols: dict[str, str] = {}
        packages: set[str] = set()
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            module, name = at
            found = self._modules[module].symbols[name]
            symbols[f"{module}:{name}"] = found.digest
            if _STATEMENTS in self._modules[module].symbols:
                waiting.append((module, _STATEMENTS))
            for chain in found.names:
                for target in self._resolve(module, found, chain):
                    if isinstance(target, str):
                        packages.add(target)
                    else:
                        waiting.append(target)
            for text in found.texts:
                for path in self._data.get(text, ()):
                    place = f"file:{path.relative_to(self.root)}"
                    if place not in symbols:
                        symbols[place] = hashlib.sha256(path.read_bytes()).hexdigest()
        return Reached(symbols=symbols, packages=tuple(sorted(packages)))

    def _resolve(self, module: str, symbol: _Symbol, chain: list[str]) -> Iterator[Symbol | str]:
        """What a dotted name stands for: definitions of the package, or another package."""
        root, *rest = chain
        own = self._modules[module]
        if root in symbol.imports:
            yield from self._imported(symbol.imports[root], rest)
        elif root in own.symbols:
            yield (module, root)
        elif root in own.imports:
            yield from self._imported(own.imports[root], rest)

    def _imported(self, target: list[str], rest: list[str]) -> Iterator[Symbol | str]:
        """What an import brought in: a module alone, or a module and a name of it."""
        module, *name = target
        if module.split(".")[0] != PACKAGE:
            yield module.split(".")[0]
            return
        if name:
            inner = f"{module}.{name[0]}"
            if inner in self._modules:
                yield from self._of_module(inner, rest)
            else:
                yield from self._named(module, name[0], rest)
            return
        yield from self._of_module(module, rest)

    def _of_module(self, module: str, rest: list[str]) -> Iterator[Symbol | str]:
        if not rest:  # handed on as a value: anything of it may be used
            yield from ((module, name) for name in self._modules[module].symbols)
            for target in self._modules[module].imports.values():
                if target[0] != module and target[0].split(".")[0] != PACKAGE:
                    yield target[0].split(".")[0]
            return
        inner = f"{module}.{rest[0]}"
        if inner in self._modules:
            yield from self._of_module(inner, rest[1:])
        else:
            yield from self._named(module, rest[0], rest[1:])

    def _named(self, module: str, name: str, rest: list[str]) -> Iterator[Symbol | str]:
        own = self._modules[module]
        if name in own.symbols:
            yield (module, name)
        elif name in own.imports:
            yield from self._imported(own.imports[name], rest)


def _as_table(modules: Mapping[str, _Module]) -> dict[str, Any]:
    return {
        name: {
            "imports": m.imports,
            "symbols": {n: [s.digest, s.names, s.imports, s.texts] for n, s in m.symbols.items()},
        }
        for name, m in modules.items()
    }


def _from_table(table: Mapping[str, Any]) -> dict[str, _Module]:
    return {
        name: _Module(
            symbols={n: _Symbol(*parts) for n, parts in m["symbols"].items()}, imports=m["imports"]
        )
        for name, m in table.items()
    }


# ------------------------------------------------------------------------- a module's symbols


def _read_module(text: str, name: str, *, is_package: bool) -> _Module:
    package = name if is_package else name.rpartition(".")[0]
    module = _Module()
    loose: list[ast.stmt] = []
    parts: dict[str, list[ast.stmt]] = {}
    for statement in ast.parse(text, filename=name).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.imports |= _bindings(statement, package)
            continue
        names = list(_defined(statement))
        if names:
            for defined in names:
                parts.setdefault(defined, []).append(statement)
        elif not _is_text(statement) and not _is_for_types(statement):
            loose.append(statement)
    for defined, statements in parts.items():
        module.symbols[defined] = _symbol(statements, package)
    if loose:
        module.symbols[_STATEMENTS] = _symbol(loose, package)
    return module


def _defined(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            for node in ast.walk(target):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_for_types(statement: ast.stmt) -> bool:
    """``if TYPE_CHECKING:`` never runs."""
    return isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)


def _bindings(statement: ast.Import | ast.ImportFrom, package: str) -> dict[str, list[str]]:
    """Local names of an import, and what each stands for: [module] or [module, name]."""
    if isinstance(statement, ast.Import):
        return {
            a.asname or a.name.split(".")[0]: [a.name if a.asname else a.name.split(".")[0]]
            for a in statement.names
        }
    module = statement.module or ""
    if statement.level:
        above = package.split(".")
        kept = above[: len(above) - statement.level + 1]
        module = ".".join([*kept, module] if module else kept)
    return {a.asname or a.name: [module, a.name] for a in statement.names}


def _symbol(statements: list[ast.stmt], package: str) -> _Symbol:
    trees = [_Normalised().visit(s) for s in statements]
    text = "\n".join(ast.dump(tree) for tree in trees)
    made = _Symbol(digest=hashlib.sha256(text.encode()).hexdigest())
    names: set[tuple[str, ...]] = set()
    texts: set[str] = set()
    for tree in trees:
        _collect(tree, package, made, names, texts)
    made.names = sorted(list(chain) for chain in names)
    made.texts = sorted(texts)
    return made


def _collect(
    tree: ast.AST, package: str, made: _Symbol, names: set[tuple[str, ...]], texts: set[str]
) -> None:
    """Names that a tree reads, imports it makes, and short texts that may name a file."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            made.imports |= _bindings(node, package)
            continue
        chain = _chain(node)
        if chain is not None:
            names.add(chain)
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if "." in node.value and len(node.value) < 100:
                texts.add(node.value)
            continue
        waiting += ast.iter_child_nodes(node)


def _chain(node: ast.AST) -> tuple[str, ...] | None:
    """``a.b.c`` as its parts; None for what is no dotted name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return (node.id, *reversed(parts))
    return None


class _Normalised(ast.NodeTransformer):
    """Syntax without what changes no result."""

    def __init__(self) -> None:
        self._in_function = 0

    def _function(self, node: Any) -> Any:
        node.returns = None
        arguments = node.args
        for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            a.annotation = None
        for more in (arguments.vararg, arguments.kwarg):
            if more is not None:
                more.annotation = None
        self._in_function += 1
        self.generic_visit(node)
        self._in_function -= 1
        return self._undocumented(node)

    visit_FunctionDef = _function  # noqa: N815 - ast's own names
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._in_function += 1
        self.generic_visit(node)
        self._in_function -= 1
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # the fields of a class within a function are behaviour too
        before, self._in_function = self._in_function, 0
        self.generic_visit(node)
        self._in_function = before
        found: ast.AST = self._undocumented(node)
        return found

    def _undocumented(self, node: Any) -> Any:
        node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if self._in_function:
            node.annotation = ast.Constant(value=None)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _is_error(node.func):
            node.args = [_wordless(a) for a in node.args]
            for keyword in node.keywords:
                if keyword.arg in _WORDS_OF_ERRORS:
                    keyword.value = _wordless(keyword.value)
        return node


def _is_error(called: ast.expr) -> bool:
    chain = _chain(called)
    return chain is not None and (chain[-1].endswith("Error") or chain[-1] == "Problem")


class _Wordless(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(value="") if isinstance(node.value, str) else node


def _wordless(node: ast.expr) -> ast.expr:
    """An error's text without its words; what it computes to fill them in stays."""
    found: ast.expr = _Wordless().visit(node)
    return found


# --------------------------------------------------------------------------------- functions


@cache
def own_code() -> CodeBase:
    """The code that runs in this process."""
    return CodeBase(Path(str(files(PACKAGE))))


def code_of(function: Callable[..., Any], classes: Iterable[type] = ()) -> Reached:
    """The code that a function rests on when it is handed values of some classes.

    Parameters
    ----------
    function
        At the top of a module.
    classes
        Of its argument; those of other packages count with their package alone.
    """
    starts = [(c.__module__, c.__qualname__.split(".")[0]) for c in classes]
    own = [s for s in starts if s[0].split(".")[0] == PACKAGE]
    if function.__module__.split(".")[0] == PACKAGE:
        return own_code().reached([(function.__module__, function.__name__), *own])
    return _foreign(function, own_code().reached(own))


def _foreign(function: Callable[..., Any], classes: Reached) -> Reached:
    """A function that is not of the package (a user's, a test's): its own source alone."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    symbols = dict(classes.symbols)
    symbols[f"{function.__module__}:{function.__qualname__}"] = _symbol(tree, "").digest
    return Reached(symbols=symbols, packages=classes.packages)

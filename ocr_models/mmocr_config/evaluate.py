"""Evaluating the statements of a Python config: assignments, ``del``, and harmless imports."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ocr_models.errors import ConfigError

from .errors import ConfigSyntaxError
from .expressions import Expressions, refuse
from .functions import MODULES, Module
from .limits import Budget


def parse_python(text: str, file: str) -> ast.Module:
    """The syntax tree of a config file.

    Raises:
        ConfigSyntaxError: `text` is not Python, or nested too deeply to be parsed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as invalid escape sequences
            return ast.parse(text, filename=file)
    except SyntaxError as error:
        raise ConfigSyntaxError(f"{file}:{error.lineno or 0}: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise ConfigSyntaxError(f"{file}: the file is nested too deeply") from error
    except ValueError as error:  # null bytes
        raise ConfigSyntaxError(f"{file}: {error}") from error


class Evaluator(Expressions):
    """Evaluates one file.

    Args:
        file: its path, for messages.
        budget: what the whole load may cost.
        load_bases: called once with the value of ``_base_``; returns the merged bases.
    """

    def __init__(
        self, file: str, budget: Budget, load_bases: Callable[[object], dict[str, Any]]
    ) -> None:
        super().__init__(file, budget)
        self._load_bases = load_bases

    def run(self, module: ast.Module) -> dict[str, Any]:
        """Evaluate all statements and return the variables, ``_base_`` left out.

        Raises:
            ConfigError: see the class docstring; messages start with ``file:line:``.
        """
        self._hoist_bases(module)
        for statement in module.body:
            self._statement(statement)
        return {name: value for name, value in self._scopes[0].items() if name[:2] != "__"}

    def _hoist_bases(self, module: ast.Module) -> None:
        """Load a literal ``_base_`` first, so that references may stand above it."""
        for statement in module.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="_base_")], value=value):
                    try:
                        bases = ast.literal_eval(value)
                    except (ValueError, TypeError, MemoryError, RecursionError):
                        return
                    self.at(statement, partial(self._set_bases, bases))
                    module.body.remove(statement)
                    return

    def _set_bases(self, value: object) -> None:
        if self.bases is not None:
            raise ConfigError("_base_ is set twice; give all bases in one list")
        self.bases = self._load_bases(value)

    def bind(self, target: ast.expr, value: Any) -> None:
        """As for any name, except that binding ``_base_`` loads the bases."""
        if isinstance(target, ast.Name) and target.id == "_base_":
            self._set_bases(value)
        else:
            super().bind(target, value)

    def _statement(self, node: ast.stmt) -> None:
        handler = _STATEMENTS.get(type(node))
        if handler is None:
            name = _STATEMENT_NAMES.get(type(node), type(node).__name__.lower())
            self.at(node, partial(refuse, repr(name)))
        else:
            self.at(node, partial(handler, self, node))

    def _assign(self, node: ast.Assign) -> None:
        value = self.evaluate(node.value)
        for target in node.targets:
            self.bind(target, value)

    def _annotated_assign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self.evaluate(node.value))

    def _augmented_assign(self, node: ast.AugAssign) -> None:
        load = ast.copy_location(_as_load(node.target), node.target)
        old, new = self.evaluate(load), self.evaluate(node.value)
        if isinstance(old, list) and isinstance(node.op, ast.Add):
            # As in Python: `+=` takes any items and changes the list itself, which other names
            # may share.
            old[:] = self.operate(ast.Add, old, list(self.iterate(new)))
            self.bind(node.target, old)
        else:
            self.bind(node.target, self.operate(type(node.op), old, new))

    def _expression_statement(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring needs no evaluation
            self.evaluate(node.value)

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            match target:
                case ast.Name(id=name) if name in self._scopes[0]:
                    del self._scopes[0][name]
                case ast.Subscript():
                    container, index = self.subscript_parts(target)
                    del container[index]
                case _:
                    raise ConfigError("del takes variables and items that exist")

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            module = self._module(alias.name)
            if alias.asname is None and alias.name == "os.path":
                self._imports["os"] = MODULES["os"]
            else:
                self._imports[alias.asname or alias.name] = module

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = self._module(node.module or ".")
        for alias in node.names:
            if node.level or alias.name not in module.members:
                raise ConfigError(
                    f"'from {node.module} import {alias.name}' has no meaning in a config; "
                    f"known: {', '.join(sorted(module.members))}"
                )
            self._imports[alias.asname or alias.name] = module.members[alias.name]

    def _module(self, name: str) -> Module:
        if name not in MODULES:
            raise ConfigError(
                f"a config cannot import {name!r}; it is read, not run, and only knows "
                f"{', '.join(MODULES)}"
            )
        return MODULES[name]


def _as_load(target: ast.expr) -> ast.expr:
    """The expression that reads what `target` writes."""
    match target:
        case ast.Name(id=name):
            return ast.Name(id=name, ctx=ast.Load())
        case ast.Subscript(value=value, slice=index):
            return ast.Subscript(value=value, slice=index, ctx=ast.Load())
    raise ConfigError("only names and items such as config['key'] can be assigned")


_STATEMENTS: Mapping[type[ast.stmt], Callable[[Evaluator, Any], None]] = {
    ast.Assign: Evaluator._assign,
    ast.AnnAssign: Evaluator._annotated_assign,
    ast.AugAssign: Evaluator._augmented_assign,
    ast.Delete: Evaluator._delete,
    ast.Expr: Evaluator._expression_statement,
    ast.Import: Evaluator._import,
    ast.ImportFrom: Evaluator._import_from,
    ast.Pass: lambda evaluator, node: None,
}
_STATEMENT_NAMES: Mapping[type[ast.stmt], str] = {
    ast.AsyncFunctionDef: "async def",
    ast.ClassDef: "class",
    ast.FunctionDef: "def",
}

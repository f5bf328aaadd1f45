"""Evaluating the expressions of a Python config, without ever running them.

Only the node types in the table at the end of this file have a meaning; everything else is an
error with file and line. There is no name, attribute or call through which a config could reach
Python itself: names are the config's own variables, calls go through the tables in
``functions.py``, and every value is plain data that was paid for.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from ocr_models.errors import ConfigError

from .errors import ConfigAttributeError, ConfigKeyError, ConfigTypeError
from .functions import BUILTINS, METHODS, Module
from .limits import (
    MAX_EXPRESSION_DEPTH,
    Budget,
    check_format,
    check_power,
    check_repeat,
    check_shift,
)
from .references import REFERENCE, find_reference, look_up

_BINARY_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_UNARY_OPERATORS: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_CONVERSIONS: Mapping[int, Callable[[Any], str]] = {
    ord("s"): str,
    ord("r"): repr,
    ord("a"): ascii,
}
_ITERABLE = (str, list, tuple, set, dict, range)


class Expressions:
    """Evaluates the expressions of one file.

    Args:
        file: its path, for messages.
        budget: what the whole load may cost.
    """

    def __init__(self, file: str, budget: Budget) -> None:
        self._file = file
        self._budget = budget
        self._scopes: list[dict[str, Any]] = [{}]
        self._imports: dict[str, Any] = {}
        self._depth = 0
        self.bases: dict[str, Any] | None = None

    # Errors carry the place where they happened.

    def at(self, node: ast.AST, action: Callable[[], Any]) -> Any:
        """Do `action`; an error that does not name a place yet gets this node's."""
        try:
            return action()
        except ConfigError as error:
            if getattr(error, "placed", False):
                raise
            kind: type[ConfigError] = type(error)
            message = str(error)
            cause: BaseException = error
        except RecursionError as error:
            kind, message, cause = ConfigError, "nested too deeply", error
        except KeyError as error:
            kind, message, cause = ConfigKeyError, f"there is no {error}", error
        except TypeError as error:
            kind, message, cause = ConfigTypeError, str(error), error
        except (ArithmeticError, ValueError, LookupError, MemoryError) as error:
            kind, message, cause = ConfigError, str(error), error
        placed = kind(f"{self._file}:{getattr(node, 'lineno', 0)}: {message}")
        placed.placed = True  # type: ignore[attr-defined]
        raise placed from cause

    def evaluate(self, node: ast.expr) -> Any:
        """The value of an expression."""
        handler = _EXPRESSIONS.get(type(node))
        self._budget.spend()
        if self._depth >= MAX_EXPRESSION_DEPTH:
            raise ConfigError(f"an expression is nested more than {MAX_EXPRESSION_DEPTH} deep")
        self._depth += 1
        try:
            if handler is None:
                name = _EXPRESSION_NAMES.get(type(node), type(node).__name__)
                return self.at(node, partial(refuse, name))
            return self.at(node, partial(handler, self, node))
        finally:
            self._depth -= 1

    def _constant(self, node: ast.Constant) -> Any:
        self._budget.charge(node.value)
        if isinstance(node.value, str):
            path = find_reference(node.value)
            if path is not None:
                return self._reference(path)
        return node.value

    def _reference(self, path: str) -> Any:
        if self.bases is None:
            raise ConfigKeyError(f"{{{{_base_.{path}}}}} stands in a file without _base_ above it")
        return look_up(path, self.bases, self._budget)

    def _name(self, node: ast.Name) -> Any:
        for scope in reversed(self._scopes):
            if node.id in scope:
                return scope[node.id]
        imported = self._imports.get(node.id)
        if isinstance(imported, (int, float, str)):
            return imported
        if imported is not None or node.id in BUILTINS:
            raise ConfigError(f"{node.id!r} can be called, but it is not a value")
        if node.id == "_base_":
            raise ConfigError("write references to the base as {{_base_.name}}, without quotes")
        raise ConfigError(
            f"{node.id!r} is not defined; a config knows its own variables and "
            f"{', '.join(BUILTINS)}"
        )

    def _attribute(self, node: ast.Attribute) -> Any:
        module = self._as_module(node.value)
        if module is not None:
            member = module.members.get(node.attr)
            if isinstance(member, (int, float, str)):
                return member
            raise ConfigAttributeError(f"{module.name}.{node.attr} is not a value here")
        value = self.evaluate(node.value)
        if isinstance(value, dict) and node.attr in value:
            return value[node.attr]
        raise ConfigAttributeError(f"a {type(value).__name__} has no item {node.attr!r} here")

    def _as_module(self, node: ast.expr) -> Module | None:
        """The module that an expression such as ``math`` or ``os.path`` names, if it does."""
        match node:
            case ast.Name(id=name) if not any(name in scope for scope in self._scopes):
                found = self._imports.get(name)
            case ast.Attribute(value=inner, attr=name):
                outer = self._as_module(inner) if isinstance(inner, ast.Name) else None
                found = outer.members.get(name) if outer else None
            case _:
                found = None
        return found if isinstance(found, Module) else None

    def _subscript(self, node: ast.Subscript) -> Any:
        container, index = self.subscript_parts(node)
        value = container[index]
        if isinstance(index, slice):
            self._budget.charge(value)
        return value

    def subscript_parts(self, node: ast.Subscript) -> tuple[Any, Any]:
        """The container and the index of ``container[index]``."""
        container = self.evaluate(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            return container, slice(*(bound and self.evaluate(bound) for bound in bounds))
        index = self.evaluate(node.slice)
        self._budget.charge(index)
        return container, index

    def _unary(self, node: ast.UnaryOp) -> Any:
        return _UNARY_OPERATORS[type(node.op)](self.evaluate(node.operand))

    def _binary(self, node: ast.BinOp) -> Any:
        return self.operate(type(node.op), self.evaluate(node.left), self.evaluate(node.right))

    def operate(self, kind: type[ast.operator], left: Any, right: Any) -> Any:
        """Apply a binary operator whose result is small enough."""
        if kind not in _BINARY_OPERATORS:
            raise ConfigError(f"operator {kind.__name__} has no meaning in a config")
        self._budget.charge(left)
        self._budget.charge(right)
        if kind is ast.Mult:
            check_repeat(left, right)
        elif kind is ast.Pow:
            check_power(left, right)
        elif kind is ast.LShift:
            check_shift(left, right)
        elif kind is ast.Mod and isinstance(left, str):
            if "*" in left:
                raise ConfigError("'*' has no meaning in a format here; use an f-string")
            check_format(left)
        value = _BINARY_OPERATORS[kind](left, right)
        self._budget.charge(value)
        return value

    def _boolean(self, node: ast.BoolOp) -> Any:
        stop_at = isinstance(node.op, ast.Or)
        value = self.evaluate(node.values[0])
        for operand in node.values[1:]:
            if bool(value) == stop_at:
                break
            value = self.evaluate(operand)
        return value

    def _compare(self, node: ast.Compare) -> bool:
        left = self.evaluate(node.left)
        for kind, operand in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(operand)
            self._budget.charge(left)
            self._budget.charge(right)
            if not _COMPARISONS[type(kind)](left, right):
                return False
            left = right
        return True

    def _conditional(self, node: ast.IfExp) -> Any:
        return self.evaluate(node.body if self.evaluate(node.test) else node.orelse)

    def _list(self, node: ast.List) -> list[Any]:
        return self._charged(list(self._elements(node.elts)))

    def _tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return self._charged(tuple(self._elements(node.elts)))

    def _set(self, node: ast.Set) -> set[Any]:
        return self._charged(set(self._elements(node.elts)))

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        config: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                config.update(self._unpacked(value))
            else:
                config[self.evaluate(key)] = self.evaluate(value)
        return self._charged(config)

    def _elements(self, nodes: list[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self.iterate(self.evaluate(node.value))
            else:
                yield self.evaluate(node)

    def _unpacked(self, node: ast.expr) -> dict[Any, Any]:
        value = self.evaluate(node)
        if not isinstance(value, dict):
            raise ConfigTypeError(f"** unpacks a dict, got {type(value).__name__}")
        return value

    def iterate(self, value: Any) -> Iterator[Any]:
        """Walk an iterable value, paying for each step."""
        if not isinstance(value, _ITERABLE):
            raise ConfigTypeError(f"cannot walk through {type(value).__name__}")
        for item in value:
            self._budget.spend()
            yield item

    def _charged(self, value: Any) -> Any:
        self._budget.charge(value)
        return value

    def _formatted_string(self, node: ast.JoinedStr) -> str:
        return self._charged("".join(self._pieces(node)))

    def _pieces(self, node: ast.JoinedStr) -> Iterator[str]:
        for part in node.values:
            match part:
                case ast.Constant(value=str(text)):
                    if REFERENCE.search(text):
                        raise ConfigError("a {{_base_.name}} inside an f-string: name it first")
                    piece = text
                case ast.FormattedValue(value=inner, conversion=conversion, format_spec=format_):
                    value = self.evaluate(inner)
                    self._budget.charge(value)
                    if conversion != -1:
                        value = _CONVERSIONS[conversion](value)
                    spec = self.evaluate(format_) if format_ is not None else ""
                    check_format(spec)
                    piece = format(value, spec)
                case _:
                    raise ConfigError("this f-string has no meaning in a config")
            self._budget.charge(piece)
            yield piece

    def _list_comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> list[Any]:
        return self._charged([self.evaluate(node.elt) for _ in self._rounds(node.generators)])

    def _set_comprehension(self, node: ast.SetComp) -> set[Any]:
        return self._charged({self.evaluate(node.elt) for _ in self._rounds(node.generators)})

    def _dict_comprehension(self, node: ast.DictComp) -> dict[Any, Any]:
        return self._charged(
            {
                self.evaluate(node.key): self.evaluate(node.value)
                for _ in self._rounds(node.generators)
            }
        )

    def _rounds(self, generators: list[ast.comprehension]) -> Iterator[None]:
        """One turn per combination of loop variables, which are bound in a scope of their own."""
        self._scopes.append({})
        try:
            yield from self._nested_rounds(generators)
        finally:
            self._scopes.pop()

    def _nested_rounds(self, generators: list[ast.comprehension]) -> Iterator[None]:
        if not generators:
            yield
            return
        first, *rest = generators
        if first.is_async:
            raise ConfigError("'async for' has no meaning in a config")
        for item in self.iterate(self.evaluate(first.iter)):
            self.bind(first.target, item)
            if all(self.evaluate(condition) for condition in first.ifs):
                yield from self._nested_rounds(rest)

    def _call(self, node: ast.Call) -> Any:
        function = self._function(node.func)
        arguments = list(self._elements(node.args))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is not None:
                extra = {keyword.arg: self.evaluate(keyword.value)}
            else:
                extra = self._unpacked(keyword.value)
            for name, value in extra.items():
                if not isinstance(name, str):
                    raise ConfigTypeError(f"names of arguments are strings, got {name!r}")
                if name in named:
                    raise ConfigTypeError(f"the argument {name!r} is given twice")
                named[name] = value
        self._budget.charge(arguments)
        self._budget.charge(named)
        value = function(*arguments, **named)
        self._budget.charge(arguments)  # a method may have changed its first argument
        return self._charged(value)

    def _function(self, node: ast.expr) -> Callable[..., Any]:
        match node:
            case ast.Name(id=name) if not any(name in scope for scope in self._scopes):
                function = self._imports.get(name, BUILTINS.get(name))
                if callable(function):
                    return function
                raise ConfigError(f"a config cannot call {name!r}; it knows {', '.join(BUILTINS)}")
            case ast.Attribute(value=inner, attr=name):
                module = self._as_module(inner)
                if module is not None:
                    function = module.members.get(name)
                    if callable(function):
                        return function
                    known = sorted(key for key, value in module.members.items() if callable(value))
                    raise ConfigError(
                        f"a config cannot call {module.name}.{name}; it knows {', '.join(known)}"
                    )
                return self._method(self.evaluate(inner), name)
        raise ConfigError("only known functions, by their names, can be called in a config")

    def _method(self, value: Any, name: str) -> Callable[..., Any]:
        methods = METHODS.get(type(value), {})
        if name not in methods:
            raise ConfigError(
                f"a config cannot call .{name}() of a {type(value).__name__}; "
                f"it knows {', '.join(methods) or 'no methods of it'}"
            )
        method = methods[name]

        def call(*arguments: Any, **named: Any) -> Any:
            self._budget.charge(value)
            result = method(value, *arguments, **named)
            self._budget.charge(value)
            return result

        return call

    def bind(self, target: ast.expr, value: Any) -> None:
        """Give `value` to a name, to several names, or to an item of a container."""
        match target:
            case ast.Name(id=name):
                self._scopes[-1][name] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values = list(self.iterate(value))
                if len(values) != len(targets):
                    raise ConfigError(f"{len(targets)} names for {len(values)} values")
                for inner, item in zip(targets, values, strict=True):
                    self.bind(inner, item)
            case ast.Subscript():
                container, index = self.subscript_parts(target)
                container[index] = value
                self._budget.charge(container)
            case _:
                raise ConfigError("only names and items such as config['key'] can be assigned")


def refuse(what: str) -> None:
    """Raise the error for a construct without a meaning."""
    raise ConfigError(f"{what} has no meaning in a config; it is read, not run")


_EXPRESSIONS: Mapping[type[ast.expr], Callable[[Expressions, Any], Any]] = {
    ast.Attribute: Expressions._attribute,
    ast.BinOp: Expressions._binary,
    ast.BoolOp: Expressions._boolean,
    ast.Call: Expressions._call,
    ast.Compare: Expressions._compare,
    ast.Constant: Expressions._constant,
    ast.Dict: Expressions._dict,
    ast.DictComp: Expressions._dict_comprehension,
    ast.GeneratorExp: Expressions._list_comprehension,
    ast.IfExp: Expressions._conditional,
    ast.JoinedStr: Expressions._formatted_string,
    ast.List: Expressions._list,
    ast.ListComp: Expressions._list_comprehension,
    ast.Name: Expressions._name,
    ast.Set: Expressions._set,
    ast.SetComp: Expressions._set_comprehension,
    ast.Subscript: Expressions._subscript,
    ast.Tuple: Expressions._tuple,
    ast.UnaryOp: Expressions._unary,
}
_EXPRESSION_NAMES: Mapping[type[ast.expr], str] = {
    ast.Await: "'await'",
    ast.Lambda: "'lambda'",
    ast.NamedExpr: "':='",
    ast.Starred: "'*' outside a list",
    ast.Yield: "'yield'",
    ast.YieldFrom: "'yield from'",
}

"""How a method is declared: its name, its parameters, and what it answers, for code and docs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sandbox.server.shapes import Shape
from sandbox.wire.params import read_params
from sandbox.wire.values import REQUIRED, Fields

__all__ = ["METHODS", "Method", "Param", "declaring", "method"]


class Param(NamedTuple):
    """One parameter: a kind that Fields reads, what it means, its default and bounds."""

    kind: str  # text, data, integer, number, flag, choice, array, table
    why: str
    default: Any = REQUIRED
    bounds: Mapping[str, Any] = {}

    def read(self, fields: Fields, name: str) -> Any:
        """Its value in `fields`. Raises SpecError naming it."""
        if self.kind == "choice":
            return fields.choice(name, self.bounds["choices"], self.default)
        if self.kind == "table":
            return fields.table(name, default=self.default)
        return getattr(fields, self.kind)(name, self.default, **self.bounds)


class Method(NamedTuple):
    """One method. `run` gets the service, the peer, and the parameters by name."""

    name: str
    run: Callable[..., Any]
    params: Mapping[str, Param]
    reply: Shape
    errors: tuple[str, ...]
    is_local: bool  # for the server's own user only

    def read(self, params: tuple[Any, ...]) -> dict[str, Any]:
        """The parameters of a call. Raises InvalidParamsError naming the field."""
        with read_params(params, self.params) as fields:
            return {name: param.read(fields, name) for name, param in self.params.items()}


Declare = Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]


def declaring(methods: dict[str, Method]) -> Declare:
    """What declares methods into `methods`."""

    def method(
        name: str, reply: Shape, *errors: str, is_local: bool = False, **params: Param
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare the function below as the method `name`; its docstring is what the docs say.

        It returns what it answers; or, where it must wait, a coroutine of a function that makes
        the answer, to be called when the client has taken every answer before it.
        """

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            methods[name] = Method(name, function, params, reply, errors, is_local)
            return function

        return declare

    return method


METHODS: dict[str, Method] = {}  # of the service itself
method = declaring(METHODS)

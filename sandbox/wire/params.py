"""The params of a method: one map of named fields, `[{...}]`, or `[]` for none."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import dotted
from sandbox.wire.errors import InvalidParamsError
from sandbox.wire.values import Fields

__all__ = ["read_params"]


@contextlib.contextmanager
def read_params(params: tuple[Any, ...], known: Collection[str]) -> Iterator[Fields]:
    """The fields of `params`, those in `known`, to be read within the block.

    Raises InvalidParamsError naming the field, for what the block raises as SpecError too: read a
    job, which has fields of its own, after it.
    """
    if len(params) > 1:
        raise InvalidParamsError("params", f"{len(params)} of them; write one map of named fields")
    try:
        table = params[0] if params else {}
        fields = Fields(table, known)
        if table and not known:  # to Fields that would be: any
            raise SpecError(dotted("", next(iter(table))), "no such key; there are none")
        yield fields
    except SpecError as error:
        # The fields have no name of their own, and what is no map at all is called a document.
        field = "params" if error.field == "document" else error.field
        raise InvalidParamsError(field, error.problem) from error

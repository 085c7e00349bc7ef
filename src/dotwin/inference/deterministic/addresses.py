"""Calls of compiled code by its address, which numba's own first-class functions make slow.

Those can fail, so that numba must count references to every array around them; these cannot.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["call"]


def _call(typingctx: Any, address: Any, *arguments: Any) -> Any:
    """Call a `numba.cfunc` without result; arrays are passed as they are."""
    given = types.StarArgTuple.from_types(tuple(types.unliteral(one) for one in arguments))

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        where, packed = values
        unpacked = cgutils.unpack_tuple(builder, packed, len(given))
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in unpacked])
        builder.call(builder.inttoptr(where, kind.as_pointer()), unpacked)
        return context.get_dummy_value()

    return types.none(types.int64, given), codegen


# Numba fills in the first argument, which its types do not say.
call: Any = intrinsic(_call)

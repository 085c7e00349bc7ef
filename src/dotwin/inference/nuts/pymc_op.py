"""The compiled log density of a mechanism's rows as an operation in a PyMC model.

PyMC declares the parameters and their priors; the rows, which are nearly all of the work, are
evaluated with their gradient by the kernels in one pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import generate_fallback_impl, numba_funcify

from dotwin.inference.nuts.density import compiled_row_density
from dotwin.inference.nuts.effects import effect_starts
from dotwin.inference.nuts.layout import Layout, build_layout
from dotwin.inference.nuts.rows import rows_constant
from dotwin.mechanisms.design import Design

__all__ = ["FusedRows", "fused_log_density"]


class FusedRows(Op):
    """Log density of all rows of a mechanism, with its gradient.

    Inputs are the single elements and the effects in the layout's order; outputs are the log
    density and its derivatives in both.

    Parameters
    ----------
    layout : Layout
    """

    __props__ = ()

    def __init__(self, layout: Layout) -> None:
        self._parts = layout.parts

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Apply the operation to tensors."""
        tensors = [pt.as_tensor(one, ndim=1) for one in inputs]
        return Apply(self, tensors, [pt.dscalar(), pt.dvector(), pt.dvector()])

    def perform(self, node: Apply[Any], inputs: Any, outputs: Any) -> None:
        """Evaluate it."""
        values, effects = (np.ascontiguousarray(one, dtype=float) for one in inputs)
        by_value, by_effect = np.empty(values.size), np.empty(effects.size)
        value = compiled_row_density()(values, effects, self._parts, by_value, by_effect)
        outputs[0][0] = np.asarray(value)
        outputs[1][0], outputs[2][0] = by_value, by_effect

    def infer_shape(self, node: Apply[Any], shapes: Any) -> Any:
        """Say how large the outputs are: the derivatives are as many as the inputs."""
        return [(), *shapes]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
        """Carry the log density's derivative back; second derivatives are not known."""
        if not all(isinstance(one.type, DisconnectedType) for one in cotangents[1:]):
            raise NotImplementedError("the kernels have no second derivatives.")
        return [cotangents[0] * outputs[1], cotangents[0] * outputs[2]]


@numba_funcify.register(FusedRows)
def _run_in_python(op: FusedRows, node: Any = None, **options: Any) -> Any:
    """Call the kernels through Python: built in, the rows would be compiled with each model."""
    with warnings.catch_warnings():
        # The detour costs some microseconds a call, which no user can help.
        warnings.filterwarnings("ignore", "Numba will use object mode")
        return generate_fallback_impl(op, node, **options)


def fused_log_density(design: Design, values: Mapping[str, Any]) -> Any:
    """Return the log density of a mechanism's rows as a tensor.

    Parameters
    ----------
    design : Design
        One that the kernels know.
    values : dict of str to tensor
        Its parameters by name.

    Returns
    -------
    tensor
        A number.
    """
    layout = build_layout(design)
    listed = {one.name: one for one in layout.listed}
    elements = layout.parts.free.code.size
    singles = [name for name, place in layout.places.items() if place.stop <= elements]
    starts = effect_starts(layout.listed, layout.places, elements)

    def flat(name: str) -> Any:
        one, value = listed[name], values[name]
        if one.transform is not None:
            value = one.transform.prior_quantity(value)
        return pt.as_tensor(value).reshape((-1,))

    def joined(names: list[str]) -> Any:
        pieces = [flat(name) for name in names]
        return pt.concatenate(pieces) if pieces else pt.zeros(0)

    effects = sorted(starts, key=starts.__getitem__)
    outputs: Any = FusedRows(layout)(joined(singles), joined(effects))
    return outputs[0] + rows_constant(design)

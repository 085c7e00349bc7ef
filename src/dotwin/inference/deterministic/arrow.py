"""Symmetric matrices that are an arrow: a dense border, and blocks that meet only the border.

The effects of many outer groups share nothing but the coefficients and the few effects that cross
them. So their information is kept as a border, a block for each group, and what ties the two:
its size, its factor and its solves grow with the number of groups and not with its cube.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrow", "ArrowFactor"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Arrow:
    """Which elements are the border and which belong to a group.

    Parameters
    ----------
    size : int
        Of the matrix.
    bulk : int array, dims (region, depth)
        The elements of each group; all others are the border.
    """

    size: int
    bulk: Indices

    @cached_property
    def border(self) -> Indices:
        """The elements of the border."""
        return np.setdiff1d(np.arange(self.size), self.bulk.ravel())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Elements of the border, groups, elements of each group."""
        return (self.border.size, *self.bulk.shape)

    @property
    def stored(self) -> int:
        """Numbers that a matrix is made of."""
        b, r, m = self.shape
        return b * b + r * m * b + r * m * m

    @cached_property
    def region(self) -> NDArray[np.int64]:
        """The group of each element, or -1, dims (element,)."""
        result = np.full(self.size, -1, dtype=np.int64)
        result[self.bulk] = np.arange(self.bulk.shape[0])[:, None]
        return result

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """The position of each element in the border or in its group, dims (element,)."""
        result = np.zeros(self.size, dtype=np.int64)
        result[self.border] = np.arange(self.border.size)
        result[self.bulk] = np.arange(self.bulk.shape[1])
        return result

    def parts(self, packed: Floats) -> tuple[Floats, Floats, Floats]:
        """Return border, ties and blocks, dims (..., b, b), (..., r, m, b) and (..., r, m, m)."""
        b, r, m = self.shape
        outer = packed.shape[:-1]
        ties, blocks = b * b, b * b + r * m * b
        return (
            packed[..., :ties].reshape(*outer, b, b),
            packed[..., ties:blocks].reshape(*outer, r, m, b),
            packed[..., blocks:].reshape(*outer, r, m, m),
        )

    @cached_property
    def diagonal(self) -> Indices:
        """Where each element's own number is stored, dims (element,)."""
        b, r, m = self.shape
        result = np.empty(self.size, dtype=np.intp)
        result[self.border] = np.arange(b) * (b + 1)
        inner = np.arange(r)[:, None] * m * m + np.arange(m) * (m + 1)
        result[self.bulk] = b * b + r * m * b + inner
        return result

    def pairs(self, one: Indices, other: Indices) -> Indices:
        """Return where pairs of the border's elements are stored."""
        return np.asarray(self.place[one] * self.border.size + self.place[other], dtype=np.intp)

    def dense(self, packed: Floats) -> Floats:
        """Return a matrix as such, dims (element, element)."""
        border, ties, blocks = self.parts(packed)
        result = np.zeros((self.size, self.size))
        result[np.ix_(self.border, self.border)] = border
        for elements, tie, block in zip(self.bulk, ties, blocks, strict=True):
            result[np.ix_(elements, self.border)] = tie
            result[np.ix_(self.border, elements)] = tie.T
            result[np.ix_(elements, elements)] = block
        return result

    def times(self, packed: Floats, vector: Floats) -> Floats:
        """Return a matrix times a vector, dims (element,)."""
        border, ties, blocks = self.parts(packed)
        result = np.empty(self.size)
        outer, inner = vector[self.border], vector[self.bulk]
        result[self.border] = border @ outer + np.tensordot(inner, ties, axes=2)
        result[self.bulk] = ties @ outer + (blocks @ inner[..., None])[..., 0]
        return result

    def square(self, packed: Floats, vector: Floats) -> Floats:
        """Return v' M v of each draw, dims (draw,).

        Parameters
        ----------
        packed : array, dims (draw, number)
        vector : array, dims (draw, element)
        """
        border, ties, blocks = self.parts(packed)
        outer, inner = vector[:, self.border], vector[:, self.bulk]
        result = np.einsum("sb,sbc,sc->s", outer, border, outer, optimize=True)
        if self.bulk.size:
            crossed = np.einsum("srmb,sb->srm", ties, outer)
            crossed = 2.0 * crossed + np.einsum("srmk,srk->srm", blocks, inner)
            result = result + np.einsum("srm,srm->s", crossed, inner)
        return np.asarray(result)

    def factor(self, packed: Floats) -> ArrowFactor:
        """Factor positive definite matrices.

        Parameters
        ----------
        packed : array, dims (..., number)

        Raises
        ------
        numpy.linalg.LinAlgError
            Where one is not positive definite.
        """
        border, ties, blocks = self.parts(packed)
        if not self.bulk.size:
            return ArrowFactor(self, np.linalg.cholesky(border), ties, blocks)
        inner = _cholesky(blocks)
        half = _forward(inner, ties)
        return ArrowFactor(self, np.linalg.cholesky(border - _taken(half)), half, inner)

    def mended(self, packed: Floats) -> Floats:
        """Return positive definite matrices: those given where they are, else near them.

        Parameters
        ----------
        packed : array, dims (matrix, number)
        """
        border, ties, blocks = self.parts(packed)
        if self.bulk.size:
            blocks = _definite(blocks)
            taken = _taken(_forward(_cholesky(blocks), ties))
            border = _definite(border - taken) + taken
        else:
            border = _definite(border)
        return np.concatenate([x.reshape(packed.shape[0], -1) for x in (border, ties, blocks)], 1)


#: Eigenvalues of a matrix that is mended are at least this share of the largest.
_FLOOR = 1e-6


def _definite(matrix: Floats) -> Floats:
    """Turn eigenvalues that are not positive round, and hold them above a floor."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.swapaxes(-1, -2)))
    top = np.abs(values).max(axis=-1, keepdims=True)
    held = np.maximum(np.abs(values), np.maximum(_FLOOR * top, 1e-300))
    near = (vectors * held[..., None, :]) @ vectors.swapaxes(-1, -2)
    bad = ~(values[..., 0] > 1e-10 * top[..., 0])
    return np.asarray(np.where(bad[..., None, None], near, matrix))


def _taken(half: Floats) -> Floats:
    """Return what taking out the groups takes from the border, dims (..., b, b)."""
    flat = half.reshape(*half.shape[:-3], -1, half.shape[-1])
    return np.asarray(flat.swapaxes(-1, -2) @ flat)


# LAPACK is called once per matrix, which for blocks of one or two rows costs more than the work.
def _cholesky(blocks: Floats) -> Floats:
    """Factor many small matrices, dims (..., m, m)."""
    result = np.zeros(blocks.shape)
    for j in range(blocks.shape[-1]):
        left = blocks[..., j, j] - (result[..., j, :j] ** 2).sum(axis=-1)
        if not (left > 0.0).all():
            raise np.linalg.LinAlgError("a block is not positive definite")
        result[..., j, j] = np.sqrt(left)
        for i in range(j + 1, blocks.shape[-1]):
            left = blocks[..., i, j] - (result[..., i, :j] * result[..., j, :j]).sum(axis=-1)
            result[..., i, j] = left / result[..., j, j]
    return result


def _forward(factor: Floats, right: Floats) -> Floats:
    """Solve with many small lower factors, dims (..., m, m), of columns, dims (..., m, k)."""
    result = np.array(right)
    for i in range(factor.shape[-1]):
        for j in range(i):
            result[..., i, :] -= factor[..., i, j, None] * result[..., j, :]
        result[..., i, :] /= factor[..., i, i, None]
    return result


def _backward(factor: Floats, right: Floats) -> Floats:
    """Solve with the transposes of many small lower factors."""
    result = np.array(right)
    for i in reversed(range(factor.shape[-1])):
        for j in range(i + 1, factor.shape[-1]):
            result[..., i, :] -= factor[..., j, i, None] * result[..., j, :]
        result[..., i, :] /= factor[..., i, i, None]
    return result


@dataclass(frozen=True, eq=False)
class ArrowFactor:
    """Factors of arrow matrices, groups first.

    Parameters
    ----------
    arrow : Arrow
    border : array, dims (..., b, b)
        Of what is left of the border when the groups are taken out.
    half : array, dims (..., r, m, b)
        The groups' inverse factors times their ties.
    inner : array, dims (..., r, m, m)
    """

    arrow: Arrow
    border: Floats
    half: Floats
    inner: Floats

    @property
    def log_det(self) -> Floats:
        """Half the log determinant."""
        result = np.log(np.diagonal(self.border, axis1=-2, axis2=-1)).sum(axis=-1)
        inner = np.diagonal(self.inner, axis1=-2, axis2=-1)
        return np.asarray(result + np.log(inner).sum(axis=(-1, -2)))

    def solve(self, linear: Floats, noise: Floats | None = None) -> Floats:
        """Solve for a vector; with standard noise, draw from the normal of that precision.

        Parameters
        ----------
        linear : array, dims (..., element)
        noise : array, dims (..., element), optional

        Returns
        -------
        array, dims (..., element)
        """
        arrow = self.arrow
        outer = linear[..., arrow.border]
        if arrow.bulk.size:
            inner = _forward(self.inner, linear[..., arrow.bulk][..., None])
            outer = outer - (self.half * inner).sum(axis=(-3, -2))
        left = np.linalg.solve(self.border, outer[..., None])
        if noise is not None:
            left = left + noise[..., arrow.border][..., None]
        top = np.linalg.solve(self.border.swapaxes(-1, -2), left)
        result = np.empty(linear.shape)
        result[..., arrow.border] = top[..., 0]
        if arrow.bulk.size:
            inner = inner - self.half @ top[..., None, :, :]
            if noise is not None:
                inner = inner + noise[..., arrow.bulk][..., None]
            result[..., arrow.bulk] = _backward(self.inner, inner)[..., 0]
        return result

    def variances(self) -> Floats:
        """Return the diagonal of the inverse, dims (..., element)."""
        arrow = self.arrow
        corner = np.linalg.inv(self.border)
        result = np.empty((*self.border.shape[:-2], arrow.size))
        result[..., arrow.border] = (corner**2).sum(axis=-2)
        if arrow.bulk.size:
            eye = np.broadcast_to(np.eye(arrow.shape[2]), self.inner.shape)
            own = (_forward(self.inner, eye) ** 2).sum(axis=-2)
            across = _backward(self.inner, self.half) @ corner.swapaxes(-1, -2)[..., None, :, :]
            result[..., arrow.bulk] = own + (across**2).sum(axis=-1)
        return result

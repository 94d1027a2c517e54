"""How far coefficients of the face model move a face."""

import torch
from torch import Tensor


def spread(basis: Tensor) -> Tensor:
    """(K, K) by which coefficients of a basis (K, V, 3) become as long as they move vertices, in root mean square,
    millimetres."""
    flat = 1000.0 * basis.double().flatten(1) / basis.shape[1] ** 0.5
    # With a little of the identity: a few components may move nothing in the face.
    products = flat @ flat.T
    return torch.linalg.cholesky(products + 1e-6 * products.diagonal().mean() * torch.eye(len(products))).float()


def usual_move(coefficients: Tensor, spread: Tensor) -> Tensor:
    """How far differences of coefficients (B, K) move the vertices, root mean square, millimetres; one number."""
    return ((coefficients @ spread).square().sum(1) + 1e-6).sqrt().mean()


def moves(coefficients: Tensor, basis: Tensor) -> Tensor:
    """(B,) mean distance by which differences of coefficients (B, K) move the vertices, millimetres."""
    return 1000 * torch.einsum("bk,kvc->bvc", coefficients, basis).norm(dim=-1).mean(-1)

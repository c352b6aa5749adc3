"""A decoder-only transformer, as small and plain as one can be."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

CONTEXT_LENGTH = 32


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, length, width] for the same."""
        batch, length, width = x.shape
        parts = self.qkv(self.before_attention(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        added: Tensor = self.down(functional.gelu(self.up(self.before_mlp(x)), approximate="tanh"))
        return x + added


class LanguageModel(nn.Module):
    """Tokens to next-token logits; the embedding is also the output weight.

    Parameters
    ----------
    vocabulary, layers, width, heads : int
        Sizes; ``heads`` divides ``width``.
    seed : int
        Seed of the weights.
    """

    def __init__(self, vocabulary: int, layers: int, width: int, heads: int, seed: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(CONTEXT_LENGTH, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        random = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                deep = math.sqrt(2 * layers) if name.endswith(("out.weight", "down.weight")) else 1.0
                weight.data.normal_(0.0, 0.05 / deep, generator=random)
            elif name.endswith("bias"):
                weight.data.zero_()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits float32 [batch, length, vocabulary] for tokens int64 [batch, length]."""
        x = self.embedding(tokens) + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.last(x), self.embedding.weight)

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.parameters())

"""A cache of keys and values with room for the tokens to come: none is copied at each of them."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch import Tensor
from transformers.cache_utils import DynamicLayer

Cache: TypeAlias = Any  # transformers'


def make_room(cache: Cache, tokens: int) -> None:
    """Give each layer of ``cache`` that grows by copying room for so many more ``tokens``.

    Layers of other kinds, such as those of sliding windows, stay as they are.
    """
    for layer in getattr(cache, "layers", ()):
        if type(layer) is DynamicLayer and layer.is_initialized:
            # The cache goes on using this object, whose other fields are transformers' own.
            layer.__class__ = RoomyLayer
            layer.make_room(tokens)


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers may not be there
    """The keys and values of a layer, ``[rows, heads, tokens, features]``, in larger arrays."""

    def make_room(self, tokens: int) -> None:
        """Move to arrays with room for so many more ``tokens``."""
        keys, values = self.keys, self.values
        self._whole = self._larger(keys, tokens), self._larger(values, tokens)
        self._show(keys.shape[2])

    @staticmethod
    def _larger(array: Tensor, tokens: int) -> Tensor:
        rows, heads, length, features = array.shape
        larger = array.new_empty(rows, heads, length + tokens, features)
        larger[:, :, :length] = array
        return larger

    def _show(self, length: int) -> None:
        keys, values = self._whole
        self.keys: Tensor = keys[:, :, :length]
        self.values: Tensor = values[:, :, :length]

    def update(
        self, keys: Tensor, values: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new tokens, and return those of all."""
        length = self.keys.shape[2]
        for whole, new in zip(self._whole, (keys, values), strict=True):
            whole[:, :, length : length + new.shape[2]] = new
        self._show(length + keys.shape[2])
        return self.keys, self.values

"""A perceptron of linear layers with ReLU, or another activation, between them."""

from collections.abc import Sequence

from torch import Tensor, nn

from ciaovideo.ops.linear import Layer


class MLP(nn.Module):
    """points (..., inputs) -> (..., outputs): linear layers at ``layers.0``, ``layers.2``, ..."""

    def __init__(
        self, inputs: int, hidden: Sequence[int], outputs: int, *, gelu: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.GELU() if gelu else nn.ReLU(inplace=True)]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, outputs))

    def forward(self, points: Tensor) -> Tensor:
        """The last layer is linear."""
        out: Tensor = self.layers(points)
        return out

    def linears(self) -> list[Layer]:
        """Weight (out, in) and bias (out,) of each linear layer, first to last."""
        return [(layer.weight, layer.bias) for layer in self.layers if isinstance(layer, nn.Linear)]

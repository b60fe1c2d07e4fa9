"""Optimizers: Adam, and Muon for weights that are matrices."""

import typing

import torch
from torch import Tensor, nn

from ciaovideo.errors import OptionError
from ciaovideo.train.options import OptimOptions

MOMENTUM = 0.95
ITERATIONS = 5
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
RMS = 0.2  # a step's RMS over the learning rate, as with Adam
PART_RATE = "part_rate"  # key of a group: its learning rate over the schedule's
LEAST_SIDE = 32  # smaller matrices, such as those that read or make colours, use Adam


class Muon(torch.optim.Adam):
    """Momentum with orthogonalised steps for matrices; Adam for all other weights.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks": the momentum of a
    matrix is replaced by the nearest matrix whose singular values are one, so that rare directions
    of the gradient move as far as frequent ones; POLYNOMIAL, iterated, approximates it within a few
    tenths. Steps have the size of Adam's (Liu et al., arXiv 2502.16982, equation 4), so Adam's
    learning rate fits. A convolution counts as the matrix (out, in * height * width).

    ``matrices`` and ``others`` are parameters; lr and betas are Adam's; ``decay`` is the weight
    decay of matrices per step, over the learning rate.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        decay: float = 0.0,
        fused: bool | None = None,
    ) -> None:
        groups: list[dict[str, typing.Any]] = [{"params": others, "orthogonal": False}]
        if matrices:
            groups.append({"params": matrices, "orthogonal": True, "decay": decay})
        super().__init__(groups, lr=lr, betas=betas, fused=fused)

    @torch.no_grad()
    def step(self, closure: typing.Any = None) -> None:  # type: ignore[override]
        """Make one step; overwrites the gradients of matrices."""
        assert closure is None
        for group in self.param_groups:
            if group["orthogonal"]:
                self._step_matrices(group)
        super().step()

    def _step_matrices(self, group: dict[str, typing.Any]) -> None:
        """Step the matrices, those of one shape at once."""
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for weight in group["params"]:
            if weight.grad is not None:
                by_shape.setdefault(weight.shape, []).append(weight)
        for shape, alike in by_shape.items():
            for weight in alike:
                if not self.state[weight]:  # Adam's loading expects a step in every state
                    self.state[weight]["step"] = torch.zeros(())
                    self.state[weight]["momentum"] = torch.zeros_like(weight)
            gradients = [weight.grad for weight in alike if weight.grad is not None]
            momenta = [self.state[weight]["momentum"] for weight in alike]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)  # Nesterov's momentum
            steps = orthogonal(torch.stack(ahead).flatten(2))
            size = RMS * max(steps.shape[1:]) ** 0.5
            torch._foreach_mul_(alike, 1 - group["lr"] * group["decay"])
            torch._foreach_add_(alike, list(steps.view(-1, *shape)), alpha=-group["lr"] * size)
            for weight in alike:
                weight.grad = None


def make_optimizer(network: nn.Module, options: OptimOptions) -> torch.optim.Adam:
    """The optimizer that a recipe names, for all parameters of a network.

    The encoder's parameters are a group of their own if their rate differs, and are frozen at rate
    0. Raises OptionError if a rate is given and the network has no encoder.
    """
    parts: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    apart = options.encoder_rate != 1
    for name, weight in network.named_parameters():
        parts[apart and name.startswith("encoder.")].append(weight)
    if apart and not parts[True]:
        raise OptionError("encoder_rate is given, but the network has no encoder", "leave it out")
    for weight in parts[True]:
        weight.requires_grad_(bool(options.encoder_rate))
    on_gpu = next(network.parameters()).device.type == "cuda"
    settings: dict[str, typing.Any] = {
        "lr": options.learning_rate,
        "betas": options.betas,
        "fused": True if on_gpu else None,  # one kernel for all weights
    }
    if options.optimizer == "adam":
        optimizer = torch.optim.Adam(parts[False], **settings)
        groups: list[dict[str, typing.Any]] = [{"params": parts[True]}]
    else:
        matrices, others = _sorted(parts[False])
        optimizer = Muon(matrices, others, decay=options.weight_decay, **settings)
        matrices, others = _sorted(parts[True])
        groups = [
            {"params": others, "orthogonal": False},
            {"params": matrices, "orthogonal": True, "decay": options.weight_decay},
        ]
    for group in groups:
        if group["params"] and options.encoder_rate:
            optimizer.add_param_group(group | {PART_RATE: options.encoder_rate})
    return optimizer


def _sorted(weights: list[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices for Muon, and the other parameters."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for weight in weights:
        wide = weight.ndim >= 2 and min(weight.shape[0], weight[0].numel()) >= LEAST_SIDE
        (matrices if wide else others).append(weight)
    return matrices, others


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices (N, rows, columns) with all singular values near one (0.7 to 1.2)."""
    tall = matrices.shape[1] > matrices.shape[2]
    made = matrices.mT if tall else matrices
    made = made / torch.linalg.matrix_norm(made, keepdim=True).clamp(min=1e-7)
    a, b, c = POLYNOMIAL
    for _ in range(ITERATIONS):
        gram = made @ made.mT
        made = a * made + (b * gram + c * gram @ gram) @ made
    result: Tensor = made.mT if tall else made
    return result

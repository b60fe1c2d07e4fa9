"""EQSR's neural Kriging: colours of queries from the codes around them, on the output's grid."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ciaovideo.grid import Axis, code_centre, nearest_index, once_per_axis, placed
from ciaovideo.models.networks.eqsr.adaptive_features import waves
from ciaovideo.models.parts.frame_means import FrameMeans

GROUPS = 8  # channels that share a kernel
TAPS = 9  # of the 3x3 neighbours of a query
RANGE = 3.0  # of the covariance at first, in half LR px
MARGIN = 2  # output px that a colour reads around its own: one for each block


class Involution(nn.Module):
    """Weights of the nine neighbours: a kernel of the data, times a covariance of distances.

    The first part is a kernel made at each query (involution, arXiv 2103.06255), one for every
    GROUPS channels. The second one is exp(-d^2 / (2 l^2)), d from the query to the code that the
    neighbour reads, in half LR px.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.kernel1 = nn.Conv2d(channels, channels // reduction, 3, padding=1)
        self.kernel2 = nn.Conv2d(channels // reduction, TAPS * (channels // GROUPS), 1)

    def forward(self, features: Tensor, near: tuple[Tensor, Tensor]) -> Tensor:
        """features (B, C, N, M), near: covariances along rows (3, N) and columns (3, M)."""
        kernels = self.kernel2(self.kernel1(features).relu())
        kernels = kernels.unflatten(1, (-1, 1, TAPS))  # (B, groups, 1, 9, N, M)
        height, width = features.shape[-2:]
        around = F.pad(features, (1, 1, 1, 1)).unflatten(1, (-1, GROUPS))
        total = torch.zeros_like(features).unflatten(1, (-1, GROUPS))
        for tap in range(TAPS):
            y, x = divmod(tap, 3)
            covariance = (near[0][y][:, None] * near[1][x]).to(features.dtype)
            weight = kernels[:, :, :, tap] * covariance
            total = total + weight * around[..., y : y + height, x : x + width]
        out: Tensor = total.flatten(1, 2)
        return out


class KrigingBlock(nn.Module):
    """Involution, then a perceptron with channel attention, each behind a layer norm and added."""

    def __init__(self, channels: int, reduction: int, attended: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.enter = nn.Conv2d(channels, channels, 1)
        self.involution = Involution(channels, reduction)
        self.leave = nn.Conv2d(channels, channels, 1)
        self.norm2 = nn.LayerNorm(channels)
        self.fc1 = nn.Conv2d(channels, 2 * channels, 1)
        self.fc2 = nn.Conv2d(2 * channels, channels, 1)
        self.attention = nn.Conv1d(1, 1, attended, padding=attended // 2, bias=False)

    def forward(
        self, features: Tensor, near: tuple[Tensor, Tensor], means: FrameMeans, count: int
    ) -> Tensor | None:
        """features (B, C, N, M) -> the same; None where their mean is to be summed."""
        made = self.enter(_normed(self.norm1, features))
        features = features + self.leave(self.involution(made, near))
        made = self.fc2(F.gelu(self.fc1(_normed(self.norm2, features))))
        mean = means.of(made, count)
        if mean is None:
            return None
        factor: Tensor = self.attention(mean[:, None]).mT[..., None]
        out: Tensor = (features + made * factor).relu()
        return out


class NeuralKriging(nn.Module):
    """Codes to colours (Wang et al., CVPR 2023, section 3.3).

    codes (B, C, h, w) -> (B, 3, rows, columns). Each query reads the code nearest to it and waves
    of its offset, in half LR px; two blocks look at the eight queries around. Their channel
    attention takes two means over all queries of the frame.
    """

    def __init__(
        self, codes: int, channels: int, frequencies: int, *, reduction: int = 4, attended: int = 5
    ) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.code = nn.Conv2d(codes, channels, 1)
        self.row = nn.Linear(1 + 2 * frequencies, channels, bias=False)
        self.column = nn.Linear(1 + 2 * frequencies, channels, bias=False)
        self.range = nn.Parameter(torch.tensor([RANGE]))
        self.blocks = nn.ModuleList(
            KrigingBlock(channels, reduction, attended) for _ in range(MARGIN)
        )
        self.color = nn.Conv2d(channels, 3, 1)

    def forward(self, codes: Tensor, rows: Axis, columns: Axis, means: FrameMeans) -> Tensor | None:
        """The colours; None where a mean is to be summed, of exactly these queries."""
        wide = _widened(rows), _widened(columns)
        inside = _within(rows, wide[0]), _within(columns, wide[1])
        first = self._enter(codes, *wide)
        near = self._near(wide[0], codes), self._near(wide[1], codes)
        count, features = rows.out_count * columns.out_count, first
        for block in self.blocks:
            made = block(features, near, means, count)
            if made is None:
                assert means.wanted is not None
                means.wanted = means.wanted[(..., *inside)]
                return None
            features = made
        color: Tensor = self.color((features + first)[(..., *inside)].relu())
        return color

    def _enter(self, codes: Tensor, rows: Axis, columns: Axis) -> Tensor:
        """The first layer, taken apart: of codes once each, of offsets once a row and column."""
        kind = codes.dtype
        places = [self._place(axis, codes) for axis in (rows, columns)]
        made = self.code(codes)
        for (index, _), dim in zip(places, (-2, -1), strict=True):
            made = made.index_select(dim, index)
        down = self.row(waves(places[0][1], self.frequencies).to(kind)).mT
        across = self.column(waves(places[1][1], self.frequencies).to(kind)).mT
        out: Tensor = (made + down[:, :, None] + across[:, None]).relu()
        return out

    def _place(self, axis: Axis, like: Tensor) -> tuple[Tensor, Tensor]:
        index, offset, _ = _reads(axis)
        return placed(index, like.device), placed(offset, like.device)

    def _near(self, axis: Axis, like: Tensor) -> Tensor:
        """The covariance of a query and the codes of the queries before, here and after: (3, N)."""
        distance = placed(_reads(axis)[2], like.device)
        return (-distance.square() / (2 * self.range.float().square())).exp()


@once_per_axis
def _reads(axis: Axis) -> tuple[Tensor, Tensor, Tensor]:
    """Codes of queries (N,), offsets from them (N,), and from those of neighbours (3, N)."""
    index = nearest_index(axis.coord, axis.count)
    offset = (axis.coord - code_centre(index, axis.count)) * axis.count
    steps = torch.arange(axis.start, axis.stop) + torch.arange(-1, 2)[:, None]
    whole = Axis.whole(axis.count, axis.out_count).coord
    theirs = nearest_index(whole, axis.count)[steps.clamp(0, axis.out_count - 1)]
    distance = (axis.coord - code_centre(theirs, axis.count)) * axis.count
    return index - axis.origin, offset, distance


def _widened(axis: Axis) -> Axis:
    """With the queries around that its own depend on, as far as the frame goes."""
    first, last = max(axis.start - MARGIN, 0), min(axis.stop + MARGIN, axis.out_count)
    return Axis(axis.count, axis.out_count, first, last, axis.origin)


def _within(axis: Axis, wide: Axis) -> slice:
    return slice(axis.start - wide.start, axis.stop - wide.start)


def _normed(norm: nn.LayerNorm, features: Tensor) -> Tensor:
    """A layer norm over channels (B, C, N, M)."""
    out: Tensor = norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return out

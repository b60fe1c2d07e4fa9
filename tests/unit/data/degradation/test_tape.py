"""Chroma, fields, and codecs on sheets of patches."""

import sys

import pytest
import torch
from torch import Tensor

from ciaovideo.data.degradation import tape
from ciaovideo.data.degradation.film import displaced
from ciaovideo.errors import EncodeError, OptionError


def pictures(count: int = 3, side: int = 40) -> Tensor:
    """Each a smooth pattern of its own, so that a wrong place would be seen."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    index = torch.arange(count)[:, None, None]
    waves = [(x / (4 + index) + channel * y / 9).sin() for channel in range(3)]
    return 0.5 + 0.3 * torch.stack(waves, dim=1)


@pytest.mark.parametrize("kind", tape.KINDS)
def test_luma_survives_where_chroma_suffers(kind: str) -> None:
    rgb = pictures()
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    off = tape.subsample_chroma(rgb, kind) - rgb
    luma = (off * weights).sum(dim=1)
    assert luma.abs().max() < 1.5 / 219
    assert off.abs().mean() > 2 * luma.abs().mean()


def test_leftover_fields_are_every_other_row_half_a_frame_later() -> None:
    rgb, velocity = pictures(), torch.tensor([[0.0, 4.0]] * 3)
    made = tape.combed(rgb, velocity, torch.tensor([1.0, 0.5, 0.0]), first=1)
    later = displaced(rgb, velocity / 2)
    assert torch.equal(made[:, :, 1::2], rgb[:, :, 1::2])
    assert torch.equal(made[0, :, ::2], later[0, :, ::2])
    assert torch.allclose(made[1, :, ::2], (rgb[1] + later[1])[:, ::2] / 2, atol=1e-6)
    assert torch.equal(made[2], rgb[2])


def test_clips_drift_around_a_frame_that_is_the_picture() -> None:
    rgb = pictures()
    clip = tape.moving(rgb, torch.tensor([[0.0, 2.0]] * 3), 4, 1)
    assert clip.shape == (3, 4, 3, 40, 40)
    assert torch.equal(clip[:, 1], rgb)
    assert torch.allclose(clip[:, 2, :, :, 2:], rgb[..., :-2], atol=1e-4)
    assert torch.allclose(clip[:, 0, :, :, :-2], rgb[..., 2:], atol=1e-4)


@pytest.mark.parametrize(("kind", "good", "bad"), [("mpeg2", 2, 20), ("h264", 20, 38)])
def test_codecs_give_every_frame_back_in_its_place(kind: str, good: int, bad: int) -> None:
    clip = tape.moving(pictures(5), torch.tensor([[0.5, 1.5]] * 5), 4, 2)
    near, far = (tape.recompressed(clip, kind, quality, corner=(3, 13)) for quality in (good, bad))
    assert near.shape == clip.shape
    own = (near - clip).abs().mean(dim=(2, 3, 4))
    assert own.max() < 0.03
    assert (near - clip.roll(1, dims=0)).abs().mean() > 5 * own.mean()
    assert (near - clip.roll(1, dims=1)).abs().mean(dim=(0, 2, 3, 4)).min() > 1.5 * own.mean()
    assert (far - clip).abs().mean() > 1.3 * own.mean()
    for _ in range(4):
        assert torch.equal(tape.recompressed(clip, kind, bad, corner=(3, 13)), far)


def test_dv_codes_television_s_own_size_only() -> None:
    clip = pictures()[:, None]
    made = tape.recompressed(clip, "dv", 0)
    assert 0 < (made - clip).abs().mean() < 0.02
    with pytest.raises(OptionError, match="do not fit"):
        tape.recompressed(pictures(3, 400)[:, None], "dv", 0)


def test_what_cannot_be_coded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = pictures()[:, None]
    with pytest.raises(EncodeError, match="quality 60"):
        tape.recompressed(clip, "mpeg2", 60)
    monkeypatch.setitem(sys.modules, "ciaovideo.media.write.recompress", None)
    with pytest.raises(OptionError, match=r"data\.degradation\.codecs"):
        tape.recompressed(clip, "mpeg2", 6)

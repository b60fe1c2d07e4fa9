"""Pairs: what was made, and whose it is."""

from pathlib import Path

import pytest
import torch

from ciaovideo.data.degradation.chain import DegradationOptions, Degrader
from ciaovideo.data.images import PictureStore
from ciaovideo.data.precoded import Pairs, read_pairs, write_pairs
from ciaovideo.data.sampling import Sampler
from ciaovideo.errors import CorruptWeightsError, MissingInputError, OptionError

PATCH = 8


def store(seed: int = 0, height: int = 40) -> PictureStore:
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randint(256, (height * 50 * 3,), generator=generator, dtype=torch.uint8)
    size = torch.tensor([height]), torch.tensor([50])
    return PictureStore(samples, torch.tensor([0]), *size)


def sampler(codecs: float, *, pairs: Pairs | None = None, share: float = 1.0) -> Sampler:
    options = DegradationOptions(share=share, codecs=codecs, fading=0.0, sharpen=0.0)
    degrader = Degrader(options, PATCH, with_codecs=pairs is None)
    scales = (1.0, 4.0)
    return Sampler(store(), patch=PATCH, queries=16, scales=scales, degrader=degrader, pairs=pairs)


def made(count: int = 6) -> Pairs:
    return sampler(1.0).make_pairs(count, 4, torch.Generator().manual_seed(1))


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    pairs = made()
    assert len(pairs) == 8
    assert pairs.lr.shape == (8, 3, PATCH, PATCH)
    write_pairs(tmp_path / "pairs.pt", pairs, store())
    read = read_pairs(tmp_path / "pairs.pt", store(), PATCH)
    for ours, theirs in zip(read.columns, pairs.columns, strict=True):
        assert torch.equal(ours, theirs)


def test_patches_of_pairs_meet_the_colours_of_their_crops() -> None:
    """At scale 1 the crop is the patch: its queries find their own colours there."""
    pairs = sampler(0.0, share=0.0).make_pairs(8, 4, torch.Generator().manual_seed(1))
    pairs.side.fill_(PATCH)
    plain = sampler(0.0, share=0.0)
    crop = plain._crop(*pairs.columns[:4])[:, :, :PATCH, :PATCH]
    pairs.lr.copy_(crop)
    batch = sampler(1.0, pairs=pairs).draw(5, torch.Generator().manual_seed(2))
    at = ((batch.coord + 1) * PATCH / 2 - 0.5).round().long()
    picked = batch.lr.flatten(2).gather(
        2, (at[..., 0] * PATCH + at[..., 1])[:, None].expand(-1, 3, -1)
    )
    assert torch.equal(picked.transpose(1, 2), batch.rgb)


def test_pairs_are_drawn_in_the_share_of_codecs() -> None:
    pairs = made()
    known = {tuple(patch.flatten().tolist()) for patch in pairs.lr}
    generator = torch.Generator().manual_seed(3)
    source = sampler(0.5, pairs=pairs)
    hits = 0
    for _ in range(20):
        codes = (source.draw(2, generator).lr * 255).round().byte()
        found = [tuple(patch.flatten().tolist()) in known for patch in codes]
        assert len(set(found)) == 1
        hits += found[0]
    assert 4 <= hits <= 16


def test_what_is_no_file_of_pairs_for_these_pictures(tmp_path: Path) -> None:
    path = tmp_path / "pairs.pt"
    with pytest.raises(MissingInputError, match="is not there"):
        read_pairs(path, store(), PATCH)
    write_pairs(path, made(), store())
    for other, patch in ((store(1), PATCH), (store(0, 41), PATCH), (store(), PATCH + 1)):
        with pytest.raises(OptionError, match="other pictures"):
            read_pairs(path, other, patch)
    torch.save({"lr": torch.zeros(1)}, path)
    with pytest.raises(CorruptWeightsError, match=r"pairs\.pt"):
        read_pairs(path, store(), PATCH)
    for content in (b"nothing", b"0", b"a", b"j"):  # the last three find a stack that is empty
        path.write_bytes(content)
        with pytest.raises(CorruptWeightsError, match=r"pairs\.pt"):
            read_pairs(path, store(), PATCH)

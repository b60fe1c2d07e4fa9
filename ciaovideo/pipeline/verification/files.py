"""The public ``verify``: checks an existing output against its source."""

from fractions import Fraction
from pathlib import Path

from ciaovideo.errors import MissingInputError, OptionError
from ciaovideo.media.selection import Selection
from ciaovideo.media.sequence.numbered import is_sequence
from ciaovideo.notation import parse_size
from ciaovideo.options import Deinterlace, InputOptions, Telecine, TransferName
from ciaovideo.pipeline.verification import verify as checks
from ciaovideo.pipeline.verification.contract import Verification


def verify(
    output: str | Path,
    against: str | Path,
    *,
    start: Fraction | str | None = None,
    end: Fraction | str | None = None,
    frames: int | None = None,
    every_field: bool = False,
    video: int | None = None,
    program: int | None = None,
    crop: str | None = None,
    rate: Fraction | str | None = None,
    transfer: TransferName | None = None,
    inside: str | None = None,
    telecine: Telecine = "auto",
) -> Verification:
    """Compare an upscaled file with its source: times, packets, chapters, colours, some pictures.

    The options must be those of ``upscale``: the part of the source, the video, the crop, the rate
    and transfer of numbered pictures. ``every_field`` means that each field became a frame,
    ``telecine`` off that telecine was not reversed; ``inside`` ("WxH") is the size of pictures that
    were padded. Differences are in ``Verification.wrong`` and raise no error. Raises
    MissingInputError, OptionError, and MediaError for files that cannot be read.
    """
    for path in map(Path, (output, against)):
        if not path.is_file() and not is_sequence(path):
            raise MissingInputError(f"there is no file {path}", "check the name")
    if frames is not None and frames < 1:
        raise OptionError(f"frames must be 1 or more, got {frames}", "ask for at least one frame")
    fields: Deinterlace = "field" if every_field else "auto"
    part = InputOptions(
        start=start,
        end=end,
        deinterlace=fields,
        telecine=telecine,
        video=video,
        program=program,
        crop=crop,
        rate=rate,
        transfer=transfer,
    )
    selection = Selection.asked(part, frames)
    size = None if inside is None else parse_size(inside)
    contract = checks.contract_between(Path(against), Path(output), selection, part, size)
    return checks.verify_contract(Path(output), contract)

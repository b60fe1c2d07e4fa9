"""Every error this library raises, and the exit code each one means.

::

    CiaoVideoError                exit 1   caught by callers who want just one
    ├── UsageError (ValueError)        2   UnknownNameError  OptionError  UnsupportedScaleError
    │                                      OutputExistsError  MissingInputError
    ├── MediaError                     3   OpenError  DecodeError  EncodeError  TimestampError
    │                                      ColorError  InterlacedError  LossError
    │                                      VerificationError
    ├── WeightsError                   4   MissingWeightsError  CorruptWeightsError
    │                                      MismatchedWeightsError
    ├── EngineError                    5   MemoryExhaustedError  BackendError  PrecisionError
    │                                      NonFiniteError
    └── JobError                       6   StaleLedgerError  SegmentError  LockedJobError
                                           LostWorkerError

The text answers three questions: what happened, where, and what to do now. Constructors take text
only, so that every error survives pickling between processes; leaf classes that need more build
their text in a classmethod. Ctrl-C is not among them: it raises KeyboardInterrupt, exit code 130.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar, Self

CHECK_DISK = "check the disk's space and permissions"
"""Hint for a failed write."""


class CiaoVideoError(Exception):
    """The root: ``problem`` says what and where, ``hint`` says what to do now."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem}: {self.hint}" if self.hint else self.problem


class UsageError(CiaoVideoError, ValueError):
    """A request that is wrong, or cannot be met."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not registered."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str]) -> Self:
        """The error for a wrong name, with the nearest right one as a hint."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        return cls(f"no {kind} is called {name!r}", hint)


class OptionError(UsageError):
    """An option has an invalid value, or two options contradict each other."""


class UnsupportedScaleError(UsageError):
    """An output size outside the scales of the network."""


class OutputExistsError(UsageError):
    """The output exists already, or is the input itself."""


class MissingInputError(UsageError):
    """The input does not exist, or is a folder."""


class MediaError(CiaoVideoError):
    """A file could not be read, decoded, encoded or written."""

    exit_code = 3


class OpenError(MediaError):
    """A file could not be opened, or holds no decodable picture."""


class DecodeError(MediaError):
    """The coded data is damaged, encrypted or unknown to the decoder."""


class EncodeError(MediaError):
    """The encoder or the container refuses its input, or the disk is full."""


class TimestampError(MediaError):
    """Time stamps that are missing, go backwards, or do not fit the output."""


class ColorError(MediaError):
    """A pixel format or colour tag that cannot be converted faithfully."""


class InterlacedError(MediaError):
    """Interlaced pictures where deinterlacing is off."""


class LossError(MediaError):
    """Something would be lost or guessed in a strict run."""


class VerificationError(MediaError):
    """A finished file failed verification; it keeps its temporary name."""


class WeightsError(CiaoVideoError):
    """A file of weights cannot be used."""

    exit_code = 4


class MissingWeightsError(WeightsError):
    """A file of weights does not exist."""


class CorruptWeightsError(WeightsError):
    """A file of weights is damaged, or is of another format."""


class MismatchedWeightsError(WeightsError):
    """The tensors in the file are not those of the network."""


class EngineError(CiaoVideoError):
    """The network could not be run."""

    exit_code = 5


class MemoryExhaustedError(EngineError):
    """Memory ran out even at the smallest tile."""


class BackendError(EngineError):
    """The requested device is missing or does not work."""


class PrecisionError(EngineError):
    """The requested precision does not work on this device."""


class NonFiniteError(EngineError):
    """The network returned NaN or Inf, even in fp32."""


class JobError(CiaoVideoError):
    """A stopped run, or a batch, cannot be resumed."""

    exit_code = 6


class StaleLedgerError(JobError):
    """Kept segments have another fingerprint: another source, options or version."""


class SegmentError(JobError):
    """A segment cannot be made without those before it."""


class LostWorkerError(JobError):
    """A process that worked on a batch died."""


class LockedJobError(JobError):
    """Another command is working on the same batch."""

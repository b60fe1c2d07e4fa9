"""Which network a file of weights belongs to, as text that stays readable for later versions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models.decoders import DECODERS
from ciaovideo.models.encoders import ENCODERS
from ciaovideo.models.networks import NETWORKS
from ciaovideo.models.networks.implicit import RGB_MEAN, ImplicitSR
from ciaovideo.models.protocols import Encoder, Network

VERSION = 2  # 1 had no version and knew encoders with decoders only
IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Which network, and its sizes: names from the registries and arguments of their classes.

    An ``encoder`` with a ``decoder`` make an implicit network: ``mean`` is subtracted from the
    picture, ``residual`` adds its bilinear enlargement at the end. Any other ``network`` has
    ``options`` alone. Raises MismatchedWeightsError for a mixture of both.
    """

    network: str = IMPLICIT
    options: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = ""
    decoder: str = ""
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    decoder_options: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, float, float] = RGB_MEAN
    residual: bool = True

    def __post_init__(self) -> None:
        joined = self.network == IMPLICIT
        halves = (self.encoder, self.decoder)
        if not all(halves) if joined else any(halves):
            raise MismatchedWeightsError(
                f"network {self.network!r} with encoder {self.encoder!r}, decoder {self.decoder!r}",
                "an implicit network has both, any other has neither",
            )

    def build(self) -> Network:
        """The network with fresh weights; raises UnknownNameError for a name not registered."""
        return self.build_implicit() if self.network == IMPLICIT else self._build_whole()

    def build_implicit(self) -> ImplicitSR:
        """The network of an encoder and a decoder, which is what can be trained."""
        encoder: Any = ENCODERS[self.encoder](**self.encoder_options)
        make: Any = DECODERS[self.decoder]
        decoder = make(encoder.out_channels, **self.decoder_options)
        return ImplicitSR(cast(Encoder, encoder), decoder, mean=self.mean, residual=self.residual)

    def _build_whole(self) -> Network:
        made: Network = NETWORKS[self.network](**self.options)
        return made

    def to_json(self) -> str:
        """JSON that ``from_json`` reads back; defaults are omitted."""
        values: dict[str, Any] = {"version": VERSION, "network": self.network}
        if self.network != IMPLICIT:
            return json.dumps({**values, "options": dict(self.options)}, sort_keys=True)
        values |= {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "encoder_options": dict(self.encoder_options),
            "decoder_options": dict(self.decoder_options),
        }
        if self.mean != RGB_MEAN:
            values["mean"] = self.mean
        if not self.residual:
            values["residual"] = False
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "NetworkSpec":
        """The specification that a file of weights carries.

        Raises TypeError, ValueError or MismatchedWeightsError for what is none.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise TypeError(f"{text[:20]!r} is not a JSON object")
        version = values.pop("version", 1)
        if version not in range(1, VERSION + 1):
            raise ValueError(f"version {version!r}, known to {VERSION}")
        if "mean" in values:
            values["mean"] = tuple(values["mean"])
        return cls(**values)

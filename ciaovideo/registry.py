"""Names to things, imported on first use."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from ciaovideo.errors import UnknownNameError


class Registry[T]:
    """A table of contents: names of one kind of thing, and where each is defined.

    The value of an entry is ``"package.module:attribute"``, or a module alone; it is imported when
    the entry is first asked for. A name that is not listed is looked up among the installed entry
    points of the group ``ciaovideo.<kind>s``, by which other packages add their own.
    """

    def __init__(self, kind: str, places: Mapping[str, str]) -> None:
        self.kind = kind
        self._places = dict(places)

    def __getitem__(self, name: str) -> T:
        """The thing itself; raises UnknownNameError with the nearest name."""
        if name in self._places:
            place, _, attribute = self._places[name].partition(":")
            module = import_module(place)
            return cast(T, getattr(module, attribute) if attribute else module)
        added = self._installed().get(name)
        if added is None:
            raise UnknownNameError.among(self.kind, name, self)
        return cast(T, added.load())

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._places, *self._installed())))

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self._installed()

    def __len__(self) -> int:
        return len(set(self))

    def _installed(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=f"ciaovideo.{self.kind}s")}

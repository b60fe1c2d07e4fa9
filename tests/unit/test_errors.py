import inspect
import pickle
import re

import pytest

from ciaovideo import errors
from ciaovideo.errors import CiaoVideoError, MediaError, OptionError, UnknownNameError, UsageError

CLASSES: list[type[CiaoVideoError]] = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, CiaoVideoError)
]
FAMILIES = [kind for kind in CLASSES if kind.__bases__[0] is CiaoVideoError]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_the_way_between_processes(kind: type[CiaoVideoError]) -> None:
    sent = kind("the file ends early", "fetch it again")
    received = pickle.loads(pickle.dumps(sent))
    assert type(received) is kind
    assert (received.problem, received.hint) == ("the file ends early", "fetch it again")
    assert str(received) == str(sent) == "the file ends early: fetch it again"


def test_an_error_without_a_hint_is_its_problem() -> None:
    assert str(MediaError("the file ends early")) == "the file ends early"


@pytest.mark.parametrize("kind", CLASSES)
def test_no_class_has_a_constructor_of_its_own(kind: type[CiaoVideoError]) -> None:
    assert kind is CiaoVideoError or "__init__" not in vars(kind)


def test_each_family_has_its_own_exit_code_and_passes_it_on() -> None:
    assert CiaoVideoError.exit_code == 1
    codes = [family.exit_code for family in FAMILIES]
    assert sorted(codes) == list(range(2, 2 + len(FAMILIES)))
    for kind in CLASSES:
        for family in FAMILIES:
            if issubclass(kind, family):
                assert kind.exit_code == family.exit_code


def test_usage_errors_are_value_errors_and_the_others_are_not() -> None:
    for kind in CLASSES:
        assert issubclass(kind, ValueError) == issubclass(kind, UsageError)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, set[str]] = {}
    codes: dict[str, int] = {}
    family = ""
    for line in (errors.__doc__ or "").split("::")[1].split("\n\nThe text")[0].splitlines():
        head = re.search(r"[├└]── (\w+).*?\s(\d)\s", line)
        if head:
            family, codes[head[1]] = head[1], int(head[2])
            drawn[family] = set()
        names = set(re.findall(r"\w+Error", line)) - {family, "CiaoVideoError", "ValueError"}
        if family:
            drawn[family] |= names
    actual = {kind.__name__: {leaf.__name__ for leaf in kind.__subclasses__()} for kind in FAMILIES}
    assert drawn == actual
    assert codes == {kind.__name__: kind.exit_code for kind in FAMILIES}


def test_a_wrong_name_is_answered_with_the_nearest_right_one() -> None:
    near = UnknownNameError.among("encoder", "edrs", ["rdn", "edsr", "swinir"])
    assert str(near) == "no encoder is called 'edrs': did you mean 'edsr'?"
    far = UnknownNameError.among("encoder", "zzz", ["rdn", "edsr"])
    assert str(far) == "no encoder is called 'zzz': known: edsr, rdn"


def test_one_except_clause_catches_them_all() -> None:
    with pytest.raises(CiaoVideoError, match="scale and width"):
        raise OptionError("scale and width contradict each other", "give only one")

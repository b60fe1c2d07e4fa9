"""What a batch takes, and what becomes of the names."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from ciaovideo.errors import MissingInputError, OptionError, UnknownNameError
from ciaovideo.jobs.inputs import draft_jobs, find_sources, make_jobs, names_sizes
from ciaovideo.jobs.job import Job
from ciaovideo.options import InputOptions, UpscaleOptions

DENIED = "Permission denied"


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    for name in ("in/a.mov", "in/reel/b.MPG", "in/reel/deep/c.mkv", "in/.trash/d.mkv", "in/n.txt"):
        (path := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def jobs_of(*names: object, out: Path, pattern: str = "", **given: object) -> list[Job]:
    found = find_sources([str(name) for name in names], out).found
    return make_jobs(found, out, UpscaleOptions(**given), name=pattern)  # type: ignore[arg-type]


def test_folders_are_searched_and_mirrored(tapes: Path) -> None:
    out = tapes / "large"
    (out / "reel").mkdir(parents=True)
    (out / "reel" / "e.mkv").touch()
    listing = find_sources([str(tapes)], out)
    assert listing.others == {".txt": 1}
    jobs = jobs_of(tapes, out=out)
    assert [(job.source, job.name) for job in jobs] == [
        (tapes / "a.mov", "a.mov"),
        (tapes / "reel" / "b.MPG", "reel/b.mkv"),
        (tapes / "reel" / "deep" / "c.mkv", "reel/deep/c.mkv"),
    ]
    assert [job.output for job in jobs] == [out / job.name for job in jobs]
    assert all(job.options.resume for job in jobs)


def test_a_folder_that_cannot_be_read_is_named(
    tapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listed = os.scandir

    def refusing(path: str) -> object:
        if Path(path).name in ("deep", ".trash"):
            raise PermissionError(13, DENIED, str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refusing)
    jobs = jobs_of(tapes, out=tmp_path / "out")
    assert [job.name for job in jobs] == ["a.mov", "reel/b.mkv"]
    (record,) = caplog.records
    assert record.getMessage() == f"the folder {tapes / 'reel' / 'deep'} is left out: {DENIED}"


def test_wildcards_mirror_from_their_first_one_on(tapes: Path, tmp_path: Path) -> None:
    jobs = jobs_of(tapes / "reel" / "**" / "*.mkv", out=tmp_path / "out")
    assert [job.name for job in jobs] == ["deep/c.mkv"]
    jobs = jobs_of(tapes / "**" / "*.mkv", out=tmp_path / "out")  # nothing hidden
    assert [job.name for job in jobs] == ["reel/deep/c.mkv"]
    jobs = jobs_of(tapes / ".trash" / "*.mkv", out=tmp_path / "out")
    assert [job.name for job in jobs] == ["d.mkv"]
    with pytest.raises(MissingInputError, match="nothing matches"):
        jobs_of(tapes / "*.avi", out=tmp_path / "out")


def test_a_file_that_is_named_twice_is_one_job(tapes: Path, tmp_path: Path) -> None:
    assert len(jobs_of(tapes / "a.mov", tapes / "*.mov", tapes, out=tmp_path / "out")) == 3


def test_two_outputs_of_one_name_are_refused(tapes: Path, tmp_path: Path) -> None:
    (tapes / "reel" / "B.ts").touch()
    with pytest.raises(OptionError, match=r"B\.ts .*b\.MPG ") as refused:
        jobs_of(tapes, out=tmp_path / "out", pattern="{stem}.mkv")
    assert "{suffix}" in refused.value.hint
    jobs = jobs_of(tapes, out=tmp_path / "out", pattern="{stem}-{suffix}.mkv")
    assert {"reel/B-ts.mkv", "reel/b-MPG.mkv"} < {job.name for job in jobs}
    (other := tmp_path / "other").mkdir()
    (other / "a.mov").touch()
    with pytest.raises(OptionError, match=r"in/a\.mov .*other/a\.mov "):
        jobs_of(tapes, other, out=tmp_path / "out")
    with pytest.raises(OptionError, match="is the input itself"):
        jobs_of(tapes / "a.mov", out=tapes)


def names_of(*sources: Path, out: Path, given: dict[str, Path] | None = None) -> dict[str, str]:
    """The default names of outputs, by the names of their sources."""
    found = find_sources([str(source) for source in sources], out).found
    jobs = make_jobs(found, out, UpscaleOptions(), given=given or {})
    return {job.source.name: job.name for job in jobs}


def test_sources_that_differ_by_their_suffix_keep_it(tmp_path: Path) -> None:
    (tapes := tmp_path / "in").mkdir()
    for name in ("x.ps", "X.ts", "y.mkv", "y.avi", "y.m2v", "z.ts"):
        (tapes / name).touch()
    wanted = {
        "x.ps": "x.ps.mkv",
        "X.ts": "X.ts.mkv",
        "y.mkv": "y.mkv",  # as it is alone
        "y.avi": "y.avi",
        "y.m2v": "y.m2v.mkv",
        "z.ts": "z.mkv",
    }
    assert names_of(tapes, out=tmp_path / "out") == wanted
    backwards = sorted(tapes.iterdir(), reverse=True)
    assert names_of(*backwards, out=tmp_path / "out") == wanted
    (tmp_path / "out").mkdir()
    for name in ("x.mkv", "X.ts.mkv", "z.mkv"):  # what is there decides nothing
        (tmp_path / "out" / name).touch()
    assert names_of(tapes, out=tmp_path / "out") == wanted
    (tapes / "part.csv").write_text("input,end\nX.ts,9\nx.ps,9\n")
    parts = names_of(tapes / "part.csv", out=tmp_path / "out")
    assert parts == {"X.ts": "X.ts-0s-9s.mkv", "x.ps": "x.ps-0s-9s.mkv"}


def test_a_name_that_was_given_stays_with_its_source(tmp_path: Path) -> None:
    """Files come and go, folders move, and a command names some of them only."""
    (tapes := tmp_path / "in").mkdir()
    out = tmp_path / "out"
    first, later = tapes / "X.ts", tapes / "X.ps"
    first.touch()
    assert names_of(tapes, out=out) == {"X.ts": "X.mkv"}
    given = {"X.mkv": Path("/mounted/elsewhere/X.ts")}
    later.touch()
    assert names_of(tapes, out=out, given=given) == {"X.ts": "X.mkv", "X.ps": "X.ps.mkv"}
    assert names_of(later, out=out, given=given) == {"X.ps": "X.ps.mkv"}
    both = {"X.ps.mkv": later, "X.ts.mkv": first}
    assert names_of(first, out=out, given=both) == {"X.ts": "X.ts.mkv"}
    (tapes / "X.mkv").touch()
    kept = {"X.ts": "X.mkv", "X.ps": "X.ps.mkv", "X.mkv": "X.mkv.mkv"}
    assert names_of(tapes, out=out, given=given) == kept


def test_names_by_a_pattern(tapes: Path, tmp_path: Path) -> None:
    pattern = "{folder}/{number:03}-{stem}-{height}p-{model}.mkv"
    assert names_sizes(pattern)
    found = find_sources([str(tapes / "a.mov")], tmp_path / "out").found
    words = found, tmp_path / "out", UpscaleOptions()
    (draft,) = draft_jobs(*words, pattern)
    assert (draft.name, draft.output.name, draft.source) == ("1", "1.mkv", tapes / "a.mov")
    (job,) = make_jobs(*words, name=pattern, sizes=[(120, 160)])
    assert job.name == "in/001-a-120p-auto.mkv"
    for wrong in ("{nothing}.mkv", "{stem", "{crf}.mkv", "/{stem}.mkv", "../{stem}.mkv"):
        with pytest.raises(OptionError):
            jobs_of(tapes / "a.mov", out=tmp_path / "out", pattern=wrong)


def test_lists_have_settings_for_each_file_and_part(tapes: Path, tmp_path: Path) -> None:
    (tapes / "list.csv").write_text(
        "input,scale,start,end,codec_option,output\n"
        "a.mov,3,0:01:00,90.5,,\n"
        "a.mov,,1:30.5,,tune=film,rest/a.mp4\n"
        "reel/b.MPG,,,,,\n"
    )
    first, rest, plain = jobs_of(tapes / "list.csv", out=tmp_path / "out")
    assert first.name == "a-60s-90.5s.mov"
    assert first.options.size.scale == 3.0
    assert first.options.input.times == (Fraction(60), Fraction(181, 2))
    assert rest.name == "rest/a.mp4"
    assert rest.options.encode.codec_option == ("tune=film",)
    assert (plain.name, plain.source) == ("reel/b.mkv", tapes / "reel" / "b.MPG")
    (tapes / "list.toml").write_text(
        "[[file]]\ninput = 'a.mov'\nscale = 3\n"
        "[[file.part]]\nend = '10'\n[[file.part]]\nstart = '10'\nmodel = 'bicubic'\n"
        "[[file]]\ninput = 'reel/b.MPG'\n"
    )
    jobs = jobs_of(tapes / "list.toml", out=tmp_path / "out")
    assert [job.name for job in jobs] == ["a-0s-10s.mov", "a-10s-end.mov", "reel/b.mkv"]
    assert [job.options.model.model for job in jobs] == ["auto", "bicubic", "auto"]
    assert [job.options.size.scale for job in jobs] == [3, 3, None]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("l.csv", "input,colour\na.mov,red\n", UnknownNameError),
        ("l.csv", "input,scale\na.mov,much\n", OptionError),
        ("l.csv", "input,scale\na.mov,2,3\n", OptionError),
        ("l.csv", "scale\n2\n", OptionError),
        ("l.csv", "input\nz.mov\n", MissingInputError),
        ("l.toml", "[[file]]\nscale = 2\n", OptionError),
        ("l.toml", "files = 2\n", OptionError),
        ("l.toml", "[[file\n", OptionError),
    ],
)
def test_wrong_lists_are_refused(
    tapes: Path, tmp_path: Path, name: str, text: str, error: type[Exception]
) -> None:
    (tapes / name).write_text(text)
    with pytest.raises(error):
        jobs_of(tapes / name, out=tmp_path / "out")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("gone.mkv", "empty"):
        with pytest.raises(MissingInputError, match=name):
            find_sources([str(tmp_path / name)], tmp_path / "out")


def test_numbered_pictures_are_one_source_where_a_rate_is_given(tmp_path: Path) -> None:
    for name in ("reel/0001.dpx", "reel/0002.dpx", "shots/b.01.png", "shots/b.02.png", "a.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "shots" / "title.png").write_bytes(b"x")
    output = tmp_path / "out"
    assert len(find_sources([str(tmp_path)], output).found) == 1
    found = find_sources([str(tmp_path)], output, pictures=True).found
    options = UpscaleOptions(input=InputOptions(rate="24"))
    jobs = {job.name: job for job in make_jobs(found, output, options)}
    assert set(jobs) == {"reel.mkv", "shots/b.mkv", "a.mkv"}
    assert jobs["reel.mkv"].source == tmp_path / "reel" / "%04d.dpx"
    assert jobs["shots/b.mkv"].options.input.rate == 24
    assert jobs["a.mkv"].options.input.rate is None
    alone = find_sources([str(tmp_path / "reel" / "%04d.dpx")], output).found
    assert [job.name for job in make_jobs(alone, output, options)] == ["reel.mkv"]
    with pytest.raises(OptionError, match="numbered"):
        make_jobs(found, output, options, name="{stem}.%04d.png")

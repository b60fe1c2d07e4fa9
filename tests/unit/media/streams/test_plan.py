"""What becomes of the streams beside the video, before anything is written."""

from ciaovideo.media.streams.targets import fresh_metadata


def test_tags_about_the_old_bytes_are_dropped() -> None:
    tags = {"title": "T", "ENCODER": "x", "DURATION": "0", "BPS-eng": "1", "_STATISTICS_TAGS": "B"}
    assert fresh_metadata(tags) == {"title": "T"}

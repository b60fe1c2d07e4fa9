"""Reads and writes media files: the only part that uses PyAV, and the only one with timestamps.

Design note. A picture passes through this part unchanged or not at all. ``VideoReader`` yields
every picture of the main video as integer planes with its exact time. ``VideoWriter`` encodes
planes at exactly these times. ``StreamCopier`` copies everything else in the file, packet by
packet; it converts only text and, on request, sound that a container cannot hold. Nothing here
converts colour, resizes, drops, duplicates or retimes a picture. The only exception is interlaced
video, detected by flags and a sample of frames (``interlacing/fields``): the deinterlacer makes
progressive pictures, each at the time of its field (``interlacing/deinterlacer``).

- **Time** is a ``pts`` in ticks of a ``Fraction``: seconds never pass through a float. The output
  keeps the input's time base; mp4 and mov store it exactly, Matroska rounds to milliseconds.
  Pictures without timestamps (raw streams) get them from the nominal rate, with a finding.
- **Pixels** leave this part in planar layouts. Semi-planar, packed and big-endian layouts are
  repacked sample by sample; layouts that cannot be repacked without loss are refused.
- **FFmpeg's types stay here.** Its rationals become ``Fraction`` or ``None``; only ``av_errors``
  translates its errors into ours.
- **An encoder is an entry** in ``codecs/table.CODECS``, and ``tests/contract`` tests each:
  properties that it would falsify are refused, those that it cannot store are reported as losses.
- **A container is a row** of ``containers.CONTAINERS``: muxer, clock, capabilities, and what
  happens to unsupported properties. An output's name is parsed once (``write/output.Destination``);
  later functions get the row. ``tests/contract`` adds one that no other line of code knows.
- **Which frames** a run takes is one class, ``selection.Selection``, first with times from the
  first frame, then on the file's clock.
- **A part of a file** is cut at exact frame times. Sound is kept in whole packets, subtitles and
  data are cut, and one offset moves everything. Decoding begins in the middle only where that is
  proven to give the same pictures (``read/seeking``).
- **What a container cannot hold** is found before work starts, by writing a header in memory: text
  is converted; sound that would be lost is an error unless it may be transcoded; other streams are
  dropped with a finding.
- **A pipe** (``read/y4m_input``, ``write/y4m``), standard or named, or a device carries raw
  pictures at one rate; everything else is reported as lost. It can be read only once: facts that a
  probe finds in a file come from a pipe's header.
- **A system ffmpeg** (``ffmpeg/``) is one more encoder: it gets raw frames with their times, a
  trial before the run shows its output's properties, and the result is verified like any other.
- **An output file appears complete or not at all**: ``storage.atomic.atomic_output`` writes a
  temporary file beside it, flushes to disk and renames.
- **A file is probed once** (``read/probe``) before any decision, in one opening that planning uses
  as well. It is opened again to decode it, and once more to copy its other streams.
- **Encoder and muxer are separate** (``write/encoder``, ``write/muxer``): the encoder makes
  packets, independent of files; the muxer writes packets of any origin. ``VideoWriter`` combines
  them.
- **A run resumes** (``SegmentWriter``): frames are encoded in segments, each by a fresh encoder,
  into separate files. The muxer gets all packets from these files, so that an interrupted run gives
  the same bits as an uninterrupted one.

Folders: ``source`` is an opened file as FFmpeg describes and decodes it. Three folders stand on it:
``read`` yields checked frames, ``streams`` copies the other streams, ``inspect`` examines files for
verification and estimates. ``codecs`` chooses the encoder and ``write`` uses it; ``ffmpeg`` is the
external encoder, and the commands that hints suggest. ``interlacing`` handles fields, ``formats``
parses facts that FFmpeg does not report, ``patch`` writes fields that its muxers cannot.
``sequence`` handles numbered pictures as one video, ``pictures`` single ones. All folders share the
modules beside them; the central classes are in ``frame`` and ``selection``.

Containers count time from zero. A video that starts before zero (and, in Matroska, any stream that
does so by more than its priming) would lose pictures. So all streams are moved together, by the
least whole number of ticks that all their clocks share (``StreamPlan.offset``). A part of a file is
moved the other way, to begin at zero.
"""

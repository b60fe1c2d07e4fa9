"""Files in, files out: the only home of PyAV, and the only part that knows time.

Design note. A picture crosses this part unchanged or not at all. ``VideoReader`` hands out every
picture of the main video as integer planes with its exact time; ``VideoWriter`` codes planes at
exactly these times; ``StreamCopier`` carries everything else in the file, packet by packet: only
text and, if asked for, sound are coded anew where a container wants it. Nothing here converts
colour, resizes, drops, doubles or retimes a picture; one thing makes pictures of its own: where a
sample and the flags say that frames hold two fields (``interlacing/fields``), the deinterlacer
makes whole ones, each at the time of its field (``interlacing/deinterlacer``).

- **Time** is a ``pts`` in ticks of a ``Fraction``: seconds never pass through a float. The output
  keeps the input's time base; mp4 and mov store it exactly, Matroska rounds to milliseconds.
  Pictures without times (raw streams) get them from the nominal rate, and a finding says so.
- **Pixels** are planar when they leave here. Semi-planar, packed and big-endian layouts are
  repacked sample by sample; what cannot be repacked without loss is refused.
- **FFmpeg's words stay here.** Its rationals become ``Fraction`` or ``None``, its errors become
  ours in ``av_errors`` and nowhere else.
- **An encoder is an entry** in ``codecs/table.CODECS``, and ``tests/contract`` proves each: what it
  would falsify is refused, what it cannot store is a loss that is listed.
- **A container is a row** of ``containers.CONTAINERS``: muxer, clock, what it holds, what becomes
  of the rest. An output's name is parsed once (``write/output.Destination``); what follows gets the
  row. ``tests/contract`` adds one that no other line knows.
- **Which frames** is one noun, ``selection.Selection``, on the clock of the question and then on
  the file's.
- **A part of a file** runs from frame to frame by their exact times. Sound is kept in whole
  packets, what is shown or valid for a time is cut, and one offset moves everything. Decoding
  begins in the middle only where that is proven to give the same pictures (``read/seeking``).
- **What a container cannot hold** is found before work starts, by writing a header into memory:
  text becomes another kind of text; sound that would be lost is an error unless it may be
  transcoded; other streams are listed as dropped.
- **A pipe** (``read/y4m_input``, ``write/y4m``), standard or named, or a device is bare pictures
  at one rate: whatever else there is, is listed as lost. It is read once: what is looked at twice
  in a file is taken from its header.
- **A system ffmpeg** (``ffmpeg/``) is one more encoder:
  raw frames go to it with their times, a trial before the run says what comes back, and the result
  is verified as ever.
- **An output file appears whole or not at all**: ``storage.atomic.atomic_output`` writes beside the
  final name, flushes to disk and renames.
- **A file is looked at once** (``read/probe``) before anything is decided; it is opened again to
  decode it, and once more to copy its other streams.
- **Encoder and muxer are apart** (``write/encoder``, ``write/muxer``): one makes packets and knows
  no file, the other writes packets, whoever made them. ``VideoWriter`` is both.
- **A run resumes** (``SegmentWriter``): frames are coded in segments, each by a fresh encoder, into
  files of their own. The muxer gets all packets from these files, so that the output is made in one
  way only, and has the bits of a run never stopped.

Rooms: ``read``, ``streams`` and ``write`` are the way of a file. ``interlacing`` makes whole frames
of fields, ``codecs`` chooses the encoder, ``ffmpeg`` is the one outside. ``inspect`` examines files
for verification and estimates; ``formats`` reads what their bytes say and FFmpeg does not,
``patch`` writes what its muxers cannot. ``sequence`` is numbered pictures as one video,
``pictures`` single ones. The modules beside the rooms are shared by all of them; their nouns are
``frame`` and ``selection``.

Containers count time from zero. A video that starts before zero (and, in Matroska, any stream
that does beyond its own priming) would lose pictures, so that all streams are moved together by
the least whole number of ticks that all their clocks share; ``StreamPlan.offset`` holds it. A part
of a file is moved the other way, so that it begins at zero.
"""

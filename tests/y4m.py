"""The beginning of a YUV4MPEG2 stream of 64x48, and a frame of it."""

HEAD = b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420mpeg2\n"
FRAME = b"FRAME\n" + bytes(64 * 48 * 3 // 2)

"""A sound's waveform: the loudest moment of each of its 64 equal parts, in bounded memory however long it is."""

import sys
from array import array
from collections.abc import Iterable

from cooee.ports.media_inspector import WAVEFORM_BYTES

_BLOCK = 256
_MOST_PEAKS = 16 * WAVEFORM_BYTES


class Peaks:
    """Takes 16-bit little-endian samples in pieces of any length. Blocks double when there are too many of them."""

    def __init__(self) -> None:
        self.samples = 0
        self._peaks: list[int] = []
        self._block = _BLOCK
        self._rest = b""

    def take(self, pieces: Iterable[bytes]) -> None:
        """Take samples."""
        for piece in pieces:
            self._rest += piece
            whole = len(self._rest) // (2 * self._block) * 2 * self._block
            self._measure(self._rest[:whole])
            self._rest = self._rest[whole:]

    def waveform(self) -> bytes:
        """Return what was heard, 0 to 255 a byte, the loudest 255; of silence zeros."""
        self._measure(self._rest[: len(self._rest) // 2 * 2])
        self._rest = b""
        peaks = self._peaks or [0]
        loudest = max(*peaks, 1)
        return bytes(_part(peaks, i) * 255 // loudest for i in range(WAVEFORM_BYTES))

    def _measure(self, sound: bytes) -> None:
        samples = array("h", sound)
        if sys.byteorder == "big":
            samples.byteswap()
        self.samples += len(samples)
        block = self._block
        for at in range(0, len(samples), block):
            part = samples[at : at + block]
            self._peaks.append(max(*part, -min(part)))
        while len(self._peaks) > _MOST_PEAKS:
            self._peaks = [max(self._peaks[i : i + 2]) for i in range(0, len(self._peaks), 2)]
            self._block *= 2


def _part(peaks: list[int], index: int) -> int:
    """Return the loudest of one part of all; of a short sound parts overlap."""
    first = index * len(peaks) // WAVEFORM_BYTES
    last = (index + 1) * len(peaks) // WAVEFORM_BYTES
    return max(peaks[first : max(last, first + 1)])

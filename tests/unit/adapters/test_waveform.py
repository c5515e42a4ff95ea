"""A waveform has 64 bytes however long the sound is and however it comes in pieces."""

from array import array

import pytest

from cooee.adapters.inspect.waveform import Peaks
from cooee.ports.media_inspector import WAVEFORM_BYTES


def rising(samples: int) -> bytes:
    return array("h", [i * 32_000 // samples * (-1) ** i for i in range(samples)]).tobytes()


@pytest.mark.parametrize("samples", [1, 63, 1000, 40_000, 700_001])
@pytest.mark.parametrize("piece", [1013, 65_536])
def test_loudness_is_told_in_order(samples: int, piece: int) -> None:
    sound = rising(samples)
    peaks = Peaks()
    peaks.take(sound[at : at + piece] for at in range(0, len(sound), piece))
    waveform = peaks.waveform()
    assert peaks.samples == samples
    assert len(waveform) == WAVEFORM_BYTES
    assert list(waveform) == sorted(waveform)
    assert samples == 1 or waveform[-1] == 255
    assert len(peaks._peaks) <= 16 * WAVEFORM_BYTES


def test_the_loudest_sample_there_is_and_silence() -> None:
    peaks = Peaks()
    peaks.take([array("h", [-32_768] * 5000).tobytes()])
    assert peaks.waveform() == b"\xff" * WAVEFORM_BYTES
    quiet = Peaks()
    quiet.take([bytes(10_001)])
    assert quiet.waveform() == bytes(WAVEFORM_BYTES)
    assert Peaks().waveform() == bytes(WAVEFORM_BYTES)

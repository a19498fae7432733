"""What a camera does to counts: how many electrons make one, and from which on it is full."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chalicelib.lightcurves.times import number

Floats = npt.NDArray[np.float64]

# What converters can count to: 12, 14, 15 (signed files) and 16 bits.
_CEILINGS = (4095.0, 16383.0, 32767.0, 65535.0)
_PLATEAU_PIXELS = 3
_MARGIN = 0.95
# Some cameras write the position of a slider as GAIN.
_LARGEST_GAIN = 50.0


@dataclass(frozen=True)
class Camera:
    """What the header of a frame says of its camera; None for what it does not.

    Parameters
    ----------
    gain : float or None
        Electrons per count.
    read_noise_e : float or None
        Electrons.
    saturation : float or None
        Counts.
    """

    gain: float | None
    read_noise_e: float | None
    saturation: float | None

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, object]) -> "Camera":
        """Read it from header cards."""
        gains = (number(keywords, keyword) for keyword in ("EGAIN", "GAIN"))
        gain = next((value for value in gains if value is not None and 0 < value <= _LARGEST_GAIN), None)
        limits = [number(keywords, keyword) for keyword in ("SATURATE", "MAXLIN")]
        noise = number(keywords, "RDNOISE")
        return cls(
            gain,
            noise if noise is not None and noise >= 0 else None,
            min((limit for limit in limits if limit is not None and limit > 0), default=None),
        )


def find_ceiling(given: float | None, camera: Camera, top: Floats, tops: Floats) -> tuple[float | None, str]:
    """Return the counts from which on a pixel counts as saturated, and in words where that comes from.

    Parameters
    ----------
    given : float or None
        What the user says; taken as it is.
    camera : Camera
        What the header says.
    top, tops : ndarray, shape (n_frames,)
        Highest counts of each frame, and how many pixels have exactly these. Where several have them in more than one
        frame, the camera was full; otherwise it could count to the next power of two at least. 5 per cent are kept
        clear of: cameras bend before they break.
    """
    if given is not None:
        return given, "as the options say"
    if camera.saturation is not None:
        return camera.saturation * _MARGIN, "5 % below what the header says"
    full, frames = np.unique(top[(tops >= _PLATEAU_PIXELS) & np.isfinite(top) & (top > 0)], return_counts=True)
    # In one frame of many it is chance.
    full = full[frames >= min(2, len(top))]
    if len(full):
        return float(full[-1]) * _MARGIN, f"5 % below {full[-1]:g}, at which several pixels are cut off"
    highest = float(np.max(top, initial=0, where=np.isfinite(top)))
    ceiling = next((ceiling for ceiling in _CEILINGS if ceiling >= highest), None)
    if ceiling is None:
        return None, "not known: nothing in the headers or counts tells"
    return ceiling * _MARGIN, f"5 % below {ceiling:g}, the full scale of a camera that counts to {highest:g}"

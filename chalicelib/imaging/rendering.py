"""From a file to a frame of a film: every step that the flags of a timelapse ask for, in order.

What only some of the flags need is imported when they are set: each costs a few hundredths of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.fits import FrameHeader, read_pixels
from chalicelib.imaging.headers import FrameError
from chalicelib.imaging.stretch import Stretch, apply_stretch, measure_stretch
from chalicelib.imaging.view import View

if TYPE_CHECKING:
    from chalicelib.imaging.align import Aligner
    from chalicelib.imaging.annotate import Annotator, SkyView

# Several frames' samples are held at once.
_SAMPLE_SIDE_PX = 512

# A frame this many times as noisy as the others is spoilt: in their stretch it would be a flash.
_SPOILT_NOISE = 4

# So many pixels tell the median to a small fraction of a grey level.
_MEDIAN_PIXELS = 500_000

IS_BLANK = "is blank"
IS_SPOILT = "is much noisier than the others: shown with less contrast"


@dataclass
class FrameRenderer:
    """Renders the frames of one film.

    Parameters
    ----------
    view : View
        What the film shows.
    stretch : Stretch, optional
        That of the whole film, for counts above the sky: the sky of each frame is subtracted. Without it every frame gets
        a stretch of its own.
    aligner : Aligner, optional
        Lays each frame on the reference frame.
    annotator : Annotator, optional
        Writes on each frame.
    clean_cosmics : bool
        Whether to remove cosmic-ray hits.
    """

    view: View
    stretch: Stretch | None = None
    aligner: Aligner | None = None
    annotator: Annotator | None = None
    clean_cosmics: bool = False

    def render(self, path: Path, header: FrameHeader) -> tuple[npt.NDArray[np.uint8], list[str]]:
        """Return a frame of the film, and what is odd about it.

        Parameters
        ----------
        path : path
            The file.
        header : FrameHeader
            Its header.

        Returns
        -------
        indices : ndarray, shape of the film, uint8
            Index into the palette of every pixel, first row on top.
        remarks : list of str
            `IS_BLANK` if all its pixels are equal, `IS_SPOILT`.

        Raises
        ------
        FrameError
            If the frame is damaged, nothing is left of it, or it cannot be laid on the reference frame.
        """
        if self.view.is_empty:
            raise FrameError(header.name, "nothing is left of it after cropping")
        pixels = read_pixels(path, header)
        region = self.view.window
        transform = None
        if self.aligner is not None:
            transform = self.aligner.align(header.name, pixels, header.keywords)
            found = self.view.find_region(transform)
            if found is None:
                raise FrameError(header.name, "it cannot be aligned: it shows another part of the sky")
            region = found
        pixels = region.cut(pixels)
        if self.clean_cosmics:
            from chalicelib.imaging.cosmics import clean_cosmics

            pixels, _ = clean_cosmics(pixels)
        small = self.view.shrink(pixels, region)
        remarks = [IS_BLANK] if small.min() == small.max() else []
        stretch = self.stretch
        if stretch is None:
            stretch = measure_stretch(small)
        else:
            small = _subtract_sky(small)
            noise = measure_stretch(small).softening / stretch.softening if stretch.softening > 0 else 0
            if noise > _SPOILT_NOISE:
                remarks.append(IS_SPOILT)
                stretch = Stretch(*(noise * value for value in (stretch.black, stretch.white, stretch.softening)))
        if transform is not None:
            small = self.view.lay_over(small, region, transform, _median(small))
            if self.stretch is not None:
                small -= _median(small)
        indices = apply_stretch(small, stretch)
        if self.annotator is not None:
            self.annotator.draw(indices, header.time, self._sky_view(header), has_time=header.has_time)
        return indices, remarks

    def sample_sky(self, path: Path, header: FrameHeader) -> npt.NDArray[np.float32]:
        """Return pixels of the shrunken frame above its sky, from which the stretch of the whole film is measured.

        Raises
        ------
        FrameError
            If the frame is damaged or nothing is left of it.
        """
        if self.view.is_empty:
            raise FrameError(header.name, "nothing is left of it after cropping")
        pixels = self.view.window.cut(read_pixels(path, header))
        small = _subtract_sky(self.view.shrink(pixels, self.view.window))
        step = -(-max(small.shape) // _SAMPLE_SIDE_PX)
        return np.ascontiguousarray(small[::step, ::step])

    def _sky_view(self, header: FrameHeader) -> SkyView | None:
        from chalicelib.imaging.annotate import SkyView
        from chalicelib.imaging.wcs import TangentPlane

        own = TangentPlane.from_keywords(header.keywords)
        plane = own if self.aligner is None else self.aligner.reference.plane
        if plane is None:
            return None
        # Rounded, so that frames whose coordinates differ by next to nothing share one drawing.
        scale = float(f"{plane.scale_arcsec_px * self.view.frame_px_per_film_px:.4g}")
        return SkyView(scale, round(plane.north_angle_deg), round(plane.east_angle_deg))


def _subtract_sky(small: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the pixels above their sky, their median exactly 0: the sky is the same grey in every frame."""
    from chalicelib.imaging.sky import model_sky

    above = model_sky(small).subtract_from(small)
    above -= _median(above)
    return above


def _median(pixels: npt.NDArray[np.float32]) -> float:
    flat = pixels.reshape(-1)
    return float(np.median(flat[:: flat.size // _MEDIAN_PIXELS + 1]))

"""From a file to a frame of a film: every step that the flags of a timelapse ask for, in order."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.align import Aligner
from chalicelib.imaging.annotate import Annotator, SkyView
from chalicelib.imaging.fits import FrameHeader, read_pixels
from chalicelib.imaging.headers import FrameError
from chalicelib.imaging.stretch import Stretch, apply_stretch, measure_stretch
from chalicelib.imaging.view import View
from chalicelib.imaging.wcs import TangentPlane

# Several frames' samples are held at once.
_SAMPLE_SIDE_PX = 512


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

    def render(self, path: Path, header: FrameHeader) -> tuple[npt.NDArray[np.uint8], bool]:
        """Return a frame of the film, and whether it is blank: all its pixels are equal.

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
        is_blank : bool

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
        is_blank = bool(small.min() == small.max())
        stretch = measure_stretch(small) if self.stretch is None else self.stretch
        if self.stretch is not None:
            small = _subtract_sky(small)
        if transform is not None:
            small = self.view.lay_over(small, region, transform, float(np.median(small)))
        indices = apply_stretch(small, stretch)
        if self.annotator is not None:
            self.annotator.draw(indices, header.time, self._sky_view(header))
        return indices, is_blank

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
        own = TangentPlane.from_keywords(header.keywords)
        plane = own if self.aligner is None else self.aligner.reference.plane
        if plane is None:
            return None
        # Rounded, so that frames whose coordinates differ by next to nothing share one drawing.
        scale = float(f"{plane.scale_arcsec_px * self.view.frame_px_per_film_px:.4g}")
        return SkyView(scale, round(plane.north_angle_deg), round(plane.east_angle_deg))


def _subtract_sky(small: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    from chalicelib.imaging.sky import model_sky

    return model_sky(small).subtract_from(small)

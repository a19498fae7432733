"""What is decided on the first frame and holds for all the others."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.field import Field, Rings
from chalicelib.lightcurves.camera import Camera
from chalicelib.lightcurves.times import Site


@dataclass(frozen=True)
class Study:
    """Stars, camera and place.

    Parameters
    ----------
    reference : (str, int)
        The first frame: its file, and which of the files of this name.
    field : Field
        The stars on it.
    camera : Camera
        As its header describes it.
    site : Site or None
        Where the telescope is, if the header says.
    """

    reference: tuple[str, int]
    field: Field
    camera: Camera
    site: Site | None

    def to_state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.float64]]]:
        """Return what another run needs, as JSON and as arrays."""
        rings = self.field.rings
        state = {
            "reference": list(self.reference),
            "fwhm_px": self.field.fwhm_px,
            "sky_px": [rings.sky_inner_px, rings.sky_outer_px],
            "camera": asdict(self.camera),
            "site": None if self.site is None else asdict(self.site),
        }
        return state, {"anchors": self.field.anchors, "stars": self.field.xy, "radii": rings.radii_px}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[np.float64]]) -> "Study":
        """Return what `to_state` described."""
        name, copy = state["reference"]
        rings = Rings(arrays["radii"], *state["sky_px"])
        return cls(
            (name, copy),
            Field(arrays["anchors"], arrays["stars"], state["fwhm_px"], rings),
            Camera(**state["camera"]),
            None if state["site"] is None else Site(**state["site"]),
        )

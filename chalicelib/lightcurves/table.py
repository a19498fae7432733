"""What was measured in all frames: one row for each frame, kept in memory and between the runs of a process."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chalicelib.imaging.field import Measured

Floats = npt.NDArray[np.float64]


@dataclass
class Table:
    """Rows in order of time.

    Parameters
    ----------
    names : list of str
        The files.
    mjd_utc : list of float
        Middle of the exposures.
    exposure_s : list of float
        NaN where the header does not say.
    airmass : list of float
        NaN where the header does not say.
    rows : list of Measured
        What was measured.
    """

    names: list[str] = field(default_factory=list)
    mjd_utc: list[float] = field(default_factory=list)
    exposure_s: list[float] = field(default_factory=list)
    airmass: list[float] = field(default_factory=list)
    rows: list[Measured] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, mjd_utc: float, exposure_s: float, airmass: float, row: Measured) -> None:
        """Append a row."""
        self.names.append(name)
        self.mjd_utc.append(mjd_utc)
        self.exposure_s.append(exposure_s)
        self.airmass.append(airmass)
        self.rows.append(row)

    def column(self, name: str) -> Floats:
        """Return a member of all rows, shape (n_frames, ...)."""
        return np.array([getattr(row, name) for row in self.rows], dtype=np.float64)

    def save(self, path: Path, **arrays: npt.ArrayLike) -> None:
        """Write the table and other arrays to a file."""
        whole: dict[str, Any] = {
            "names": np.array(self.names, dtype=np.str_),
            **{name: getattr(self, name) for name in ("mjd_utc", "exposure_s", "airmass")},
            **({name: self.column(name) for name in Measured.__dataclass_fields__} if self.rows else {}),
            **arrays,
        }
        np.savez(path, **whole)

    @classmethod
    def load(cls, path: Path) -> "tuple[Table, dict[str, npt.NDArray[Any]]]":
        """Return the table that `save` wrote, and the other arrays."""
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        columns = {name: arrays.pop(name) for name in Measured.__dataclass_fields__ if name in arrays}
        names = [str(name) for name in arrays.pop("names")]
        rows = [
            Measured(**{key: column[i].item() if column.ndim == 1 else column[i] for key, column in columns.items()})
            for i in range(len(names))
        ]
        own = [[float(value) for value in arrays.pop(name)] for name in ("mjd_utc", "exposure_s", "airmass")]
        return cls(names, own[0], own[1], own[2], rows), arrays

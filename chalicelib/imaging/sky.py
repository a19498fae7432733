"""Model the sky of a frame: its level, gradient included, and its noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_CELLS = 16
_SAMPLES_PER_CELL = 250
# Of the surface, and of those fitted first to tell which cells stand out.
_DEGREE = 4
_DEGREES = (0, 1, 2, _DEGREE)
_CAUCHY_SIGMA = 2.4
_CLIP_SIGMA = 2.5
_STRIP_ROWS = 256
# Standard deviation of what is left of a Gaussian clipped so in three rounds, by simulation.
_CLIPPED_SPREAD = 0.94
_CLIPS = 3
_REWEIGHTS = 3
# Of 32-bit floats.
_ROUNDING = 1e-6
# No camera counts this far; files that mark bad pixels by a huge number do.
_LARGEST_COUNT = 1e30


@dataclass(frozen=True, eq=False)
class Sky:
    """The sky of one image.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image.
    coefficients : ndarray, shape (5, 5), float64
        Of the powers of y (rows) and x (columns), each counted from -1 to 1 across the image.
    noise : float
        Standard deviation of the pixels of the sky, counts; 0 for an image without noise.
    median : float
        Median of the model over the image, counts.
    """

    shape: tuple[int, int]
    coefficients: Floats
    noise: float
    median: float

    @property
    def level(self) -> npt.NDArray[np.float32]:
        """The model, shape (ny, nx), float32; computed anew on each use."""
        return self._rows(0, self.shape[0])

    def subtract_from(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the pixels above the sky, shape (ny, nx), float32, without ever holding the whole model."""
        result = np.empty(self.shape, dtype=np.float32)
        for start in range(0, self.shape[0], _STRIP_ROWS):
            stop = min(start + _STRIP_ROWS, self.shape[0])
            np.subtract(pixels[start:stop], self._rows(start, stop), out=result[start:stop], casting="same_kind")
        return result

    def _rows(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        height, width = self.shape
        columns = self.coefficients @ np.vander(_axis(width), _DEGREE + 1, increasing=True).T
        rows = np.vander(_axis(height)[start:stop], _DEGREE + 1, increasing=True)
        return rows.astype(np.float32) @ columns.astype(np.float32)


def model_sky(pixels: npt.NDArray[Any]) -> Sky:
    """Fit a smooth surface through the sky of an image, past its stars, galaxies and bad pixels.

    The sky of each of 16 x 16 cells is the mean of its pixels with those clipped that stand out; a surface of the
    fourth degree is laid through these, cells that still stand out counting little. A surface as stiff as this cannot
    rise under a star and leave a dark ring around it, as a fine mesh does.

    Parameters
    ----------
    pixels : ndarray, shape (ny, nx)
        Counts of any type; what is not finite is ignored.

    Returns
    -------
    Sky
        0 everywhere if no pixel is finite.
    """
    height, width = pixels.shape
    levels, noises, rows, columns = _measure_cells(pixels)
    if not len(levels):
        return Sky((height, width), np.zeros((_DEGREE + 1, _DEGREE + 1)), 0.0, 0.0)
    coefficients = _fit_surface(levels, rows, columns)
    grid = np.vander(_axis(_CELLS), _DEGREE + 1, increasing=True)
    surface = grid @ coefficients @ grid.T
    # A slope spreads the pixels of a cell evenly over its rise, which is no noise.
    rises = np.hypot(*np.gradient(surface))
    variance = float(np.median(noises)) ** 2 - float(np.median(rises)) ** 2 / 12
    return Sky((height, width), coefficients, max(variance, 0.0) ** 0.5, float(np.median(surface)))


def _axis(length: int) -> Floats:
    return np.asarray(np.linspace(-1, 1, length) if length > 1 else np.zeros(1), dtype=np.float64)


def _measure_cells(pixels: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return level, noise and place (row and column, -1 to 1) of each cell with enough good pixels."""
    height, width = pixels.shape
    down, across = min(_CELLS, height), min(_CELLS, width)
    cell_height, cell_width = height // down, width // across
    step = max(1, round(np.sqrt(cell_height * cell_width / _SAMPLES_PER_CELL)))
    top, left = (height - down * cell_height) // 2, (width - across * cell_width) // 2
    row_index = (top + np.arange(down)[:, None] * cell_height + np.arange(0, cell_height, step)).ravel()
    column_index = (left + np.arange(across)[:, None] * cell_width + np.arange(0, cell_width, step)).ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        sample = pixels[row_index][:, column_index].astype(np.float32)
        sample[~(np.abs(sample) < _LARGEST_COUNT)] = np.nan
    per_row, per_column = len(row_index) // down, len(column_index) // across
    cells = sample.reshape(down, per_row, across, per_column).swapaxes(1, 2).reshape(down * across, -1)
    levels, noises, enough = _clipped_means(np.sort(cells, axis=1))
    middle_rows = _axis(height)[row_index].reshape(down, per_row).mean(axis=1)
    middle_columns = _axis(width)[column_index].reshape(across, per_column).mean(axis=1)
    rows, columns = (grid.ravel()[enough] for grid in np.meshgrid(middle_rows, middle_columns, indexing="ij"))
    return levels[enough], noises[enough], rows, columns


def _clipped_means(cells: npt.NDArray[np.float32]) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return mean level and noise of each row of sorted values, and whether enough of it is finite (NaN sorts last)."""
    size = cells.shape[1]
    count = size - np.count_nonzero(np.isnan(cells), axis=1)
    enough = count >= max(1, size // 4)
    first, stop = np.zeros_like(count), count.copy()
    everything = np.arange(len(cells))
    for _ in range(_CLIPS):
        last = np.maximum(stop - 1, first)
        median = _between(cells, everything, (first + last) / 2)
        # The darker half knows nothing of stars.
        noise = (median - _between(cells, everything, first + 0.1587 * (last - first))).astype(np.float64)
        reach = (_CLIP_SIGMA * noise + np.abs(median) * _ROUNDING)[:, None]
        kept = np.abs(cells - median[:, None]) <= reach
        first = kept.argmax(axis=1)
        stop = first + np.count_nonzero(kept, axis=1)
    # Means instead of medians: those of whole counts are whole counts.
    values = np.where(kept, cells, 0)
    number = np.maximum(stop - first, 1)
    mean = values.sum(axis=1, dtype=np.float64) / number
    variance = np.where(kept, (cells - mean[:, None].astype(np.float32)) ** 2, 0).sum(axis=1, dtype=np.float64) / number
    return mean, np.sqrt(variance) / _CLIPPED_SPREAD, enough


def _between(cells: npt.NDArray[np.float32], rows: npt.NDArray[np.intp], places: Floats) -> npt.NDArray[np.float32]:
    """Read sorted values at places between them."""
    below = places.astype(np.intp)
    above = np.minimum(below + 1, cells.shape[1] - 1)
    low, high = cells[rows, below], cells[rows, above]
    part = (places - below).astype(np.float32)
    return np.where(part > 0, low + (high - low) * part, low)


def _fit_surface(levels: Floats, rows: Floats, columns: Floats) -> Floats:
    """Fit by iteratively reweighted least squares, one degree after the other."""
    base = float(np.median(levels))
    values = levels - base
    coefficients = np.zeros((_DEGREE + 1, _DEGREE + 1))
    rest = values
    for degree in _DEGREES:
        powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
        if len(powers) * 2 > len(values):
            break
        terms = np.stack([rows**i * columns**j for i, j in powers], axis=1)
        for _ in range(_REWEIGHTS):
            scale = 1.4826 * float(np.median(np.abs(rest)))
            if not scale > 0:
                break
            # Cauchy's weights: what lies far off counts little, yet enough to be won back by a better surface.
            weighted = terms.T / (1 + (rest / (_CAUCHY_SIGMA * scale)) ** 2)
            # Cells may all lie in one row: the smallest of many solutions then.
            solution = np.linalg.lstsq(weighted @ terms, weighted @ values, rcond=1e-10)[0]
            rest = values - terms @ solution
            coefficients[:] = 0
            for (i, j), value in zip(powers, solution, strict=True):
                coefficients[i, j] = value
    coefficients[0, 0] += base
    return coefficients

"""Find how one frame lies on another from the stars they share."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import log
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MIN_MATCHES = 3
# Of the stars that could agree, so many must; and by chance so many would but once in a thousand frames.
_MIN_FRACTION = 0.2
_SURE_FRACTION = 0.5
_CHANCE = 1e-3

# Stars drift by some pixels from one frame to the next.
_GUESS_PX = 4.0
# Three standard deviations of positions that scatter normally are so many medians of the distance.
_TOLERANCE_MEDIANS = 3.6
_TOLERANCE_PX = (0.6, 3.0)
_CAUCHY_MEDIANS = 2.0
_EXACT_PX = 1e-6
_STEPS, _FEWEST_STEPS = 12, 4

_MOST_STARS = 300
_VOTERS = 100
_SMALLEST_CELL_PX = 3.0
_CELLS = 512
_TRIALS = 5

_TRIANGLE_STARS = 30
_SHAPE_TOLERANCE = 0.006
_SMALLEST_TRIANGLE_PX = 20.0
_LARGEST_SCALING = 0.25
_ANGLE_STEP = 0.01
_SCALE_STEP = 0.01


@dataclass(frozen=True, eq=False)
class Transform:
    """Where the pixels of a frame lie in a reference frame: ``reference = matrix @ (x, y) + shift``.

    Parameters
    ----------
    matrix : ndarray, shape (2, 2), float64
        Rotation and scale.
    shift : ndarray, shape (2,), float64
        Pixels of the reference frame, (x, y).
    matched : int
        How many stars it rests on; 0 if on none.
    rms_px : float
        Root mean square distance of these stars from their counterparts, pixels of the reference frame.
    """

    matrix: Floats
    shift: Floats
    matched: int = 0
    rms_px: float = 0.0

    @classmethod
    def identity(cls) -> Self:
        """Return the transform that leaves everything in place."""
        return cls(np.eye(2), np.zeros(2))

    def apply(self, xy: npt.ArrayLike) -> Floats:
        """Return positions, shape (n, 2) or (2,), in pixels of the reference frame."""
        return np.asarray(np.asarray(xy, dtype=np.float64) @ self.matrix.T + self.shift)

    def inverse(self) -> "Transform":
        """Return the transform from the reference frame to this frame."""
        matrix = np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)
        scale = float(np.sqrt(abs(np.linalg.det(matrix))))
        return Transform(matrix, -matrix @ self.shift, self.matched, self.rms_px * scale)


def match_stars(xy: Floats, reference_xy: Floats, guess: Transform | None = None) -> Transform | None:
    """Find the shift, turn and scale that lay the stars of a frame on those of a reference frame.

    Parameters
    ----------
    xy, reference_xy : ndarray, shape (n, 2), float64
        Positions of stars in either frame, pixels, brightest first; of more than 300 the others are not used. Many may
        be missing or false.
    guess : Transform, optional
        What to try first, such as that of the frame before, or one from a WCS.

    Returns
    -------
    Transform or None
        None if no transform lets more stars agree than may happen by chance.
    """
    here, there = (np.asarray(p, dtype=np.float64).reshape(-1, 2)[:_MOST_STARS] for p in (xy, reference_xy))
    if min(len(here), len(there)) < _MIN_MATCHES:
        return None
    best: Transform | None = None
    for starts in _attempts(here, there, guess):
        for start in starts:
            found, share = _refine(here, there, start)
            if found is not None and share >= _SURE_FRACTION:
                return found
            if found is not None and (best is None or found.matched > best.matched):
                best = found
    return best


@dataclass(frozen=True, eq=False)
class _Start:
    """A transform to begin with, good to so many pixels, that so many pairs of stars were enough to think up."""

    transform: Transform
    error_px: float
    pairs_used: int


def _refine(xy: Floats, reference_xy: Floats, start: _Start) -> tuple[Transform | None, float]:
    """Match, fit and match again ever closer; return what it comes to and the share of stars that agree."""
    begin = start.transform.apply(xy)
    now, tolerance = begin, start.error_px
    fit = Transform.identity()
    for step in range(_STEPS):
        mine, theirs, distances = _neighbours(now, reference_xy, tolerance)
        if len(mine) < _MIN_MATCHES:
            return None, 0.0
        typical = float(np.median(distances))
        # Saturated stars may be pixels off: they count little (Cauchy's weights), and do not widen the circle.
        weights = 1 / (1 + (distances / max(_CAUCHY_MEDIANS * typical, _EXACT_PX)) ** 2)
        fit = _fit(begin[mine], reference_xy[theirs], weights)
        now = fit.apply(begin)
        closer = float(np.clip(_TOLERANCE_MEDIANS * typical, *_TOLERANCE_PX))
        if closer >= tolerance and step >= _FEWEST_STEPS:
            break
        tolerance = min(closer, tolerance)
    if not _is_no_chance(now, reference_xy, fit.matched, tolerance, start.pairs_used):
        return None, 0.0
    possible = min(_count_inside(now, reference_xy), _count_inside(reference_xy, now))
    share = fit.matched / max(possible, 1)
    if share < _MIN_FRACTION or abs(log(abs(float(np.linalg.det(fit.matrix))))) > _LARGEST_SCALING:
        return None, 0.0
    matrix = fit.matrix @ start.transform.matrix
    shift = fit.matrix @ start.transform.shift + fit.shift
    return Transform(matrix, shift, fit.matched, fit.rms_px), share


def _neighbours(
    xy: Floats, reference_xy: Floats, tolerance: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """Return the indices of the stars that are each other's nearest and near enough, and their distances."""
    # (a - b)^2 = a^2 - 2 a b + b^2 is quick, and exact enough to choose by; a^2 does not matter for the choice.
    products = xy @ reference_xy.T
    nearest = (products - 0.5 * np.sum(reference_xy**2, axis=1)).argmax(axis=1)
    back = (products - 0.5 * np.sum(xy**2, axis=1)[:, None]).argmax(axis=0)
    distances = np.hypot(*(xy - reference_xy[nearest]).T)
    kept = np.flatnonzero((back[nearest] == np.arange(len(xy))) & (distances < tolerance))
    return kept, nearest[kept], distances[kept]


def _fit(xy: Floats, reference_xy: Floats, weights: Floats) -> Transform:
    """Fit a shift by weighted least squares, and a turn and scale too if the stars ask for them."""
    here, there = (positions @ np.array([1, 1j]) for positions in (xy, reference_xy))
    weights = weights / weights.sum()
    middle, goal = weights @ here, weights @ there
    here, there = here - middle, there - goal
    spread = float(weights @ np.abs(here) ** 2)
    turn = complex(weights @ (np.conj(here) * there)) / spread if spread > 0 else 1 + 0j
    rests = [float(weights @ np.abs(there - factor * here) ** 2) for factor in (1, turn)]
    # Schwarz (1978, Ann. Stat. 6, 461): two more parameters must pay for themselves. Else the noise of a few stars in
    # the middle would swing the corners of the frame.
    values = 2 * len(here)
    if values <= 4 or values * log((rests[0] + _EXACT_PX**2) / (rests[1] + _EXACT_PX**2)) < 2 * log(values):
        turn = 1 + 0j
    shift = goal - turn * middle
    rms = float(np.sqrt(np.mean(np.abs(there - turn * here) ** 2)))
    return Transform(_matrix(turn), np.array([shift.real, shift.imag]), len(here), rms)


def _matrix(turn: complex) -> Floats:
    return np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])


def _count_inside(xy: Floats, others: Floats) -> int:
    inside = (xy >= others.min(axis=0)) & (xy <= others.max(axis=0))
    return int(np.count_nonzero(inside.all(axis=1)))


def _is_no_chance(xy: Floats, reference_xy: Floats, matched: int, tolerance: float, pairs_used: int) -> bool:
    """Tell whether stars strewn at random would agree as well less often than `_CHANCE`.

    The number of chance neighbours is a Poisson variable; its tail is bounded by Chernoff's inequality.
    """
    area = float(np.prod(np.ptp(reference_xy, axis=0) + 2 * tolerance))
    expected = _count_inside(xy, reference_xy) * len(reference_xy) * np.pi * tolerance**2 / area
    more = matched - pairs_used
    if more <= expected:
        return False
    log_tail = more - expected - more * log(more / expected) if expected > 0 else -np.inf
    return bool(log_tail + pairs_used * log(len(xy) * len(reference_xy)) < log(_CHANCE))


def _attempts(xy: Floats, reference_xy: Floats, guess: Transform | None) -> Iterator[list[_Start]]:
    """Yield ever bolder attempts: the guess, shifts alone, half a turn, any turn and a slight change of scale."""
    turns = [np.eye(2), -np.eye(2)]
    if guess is not None:
        yield [_Start(guess, _GUESS_PX, 1)]
        turns.insert(0, guess.matrix)
    for turn in turns:
        yield _vote_shifts(xy, reference_xy, turn, pairs_used=1)
    for turn in _vote_turns(xy[:_TRIANGLE_STARS], reference_xy[:_TRIANGLE_STARS]):
        yield _vote_shifts(xy, reference_xy, turn, pairs_used=2)


def _vote_shifts(xy: Floats, reference_xy: Floats, matrix: Floats, pairs_used: int) -> list[_Start]:
    """Let every pair of a star here and a star there vote for the shift between them; return the shifts voted most."""
    here, there = xy[:_VOTERS] @ matrix.T, reference_xy[:_VOTERS]
    shifts = (there[None, :, :] - here[:, None, :]).reshape(-1, 2)
    low = shifts.min(axis=0)
    cell = max(_SMALLEST_CELL_PX, float((shifts.max(axis=0) - low).max()) / _CELLS)
    cells = ((shifts - low) / cell).astype(np.intp)
    width, height = cells.max(axis=0) + 2
    votes = np.bincount(cells[:, 1] * width + cells[:, 0], minlength=int(width * height)).reshape(height, width)
    # A shift near the edge of a cell spreads over its neighbours.
    blocks = votes[:-1, :-1] + votes[1:, :-1] + votes[:-1, 1:] + votes[1:, 1:]
    best = np.argsort(-blocks, axis=None, kind="stable")[:_TRIALS]
    starts = []
    for row, column in zip(*np.unravel_index(best, blocks.shape), strict=True):
        voted = ((cells[:, 0] - column) | (cells[:, 1] - row)) & ~1 == 0
        shift = np.median(shifts[voted], axis=0)
        starts.append(_Start(Transform(matrix, shift), cell, pairs_used))
    return starts


def _vote_turns(xy: Floats, reference_xy: Floats) -> list[Floats]:
    """Compare the shapes of triangles and let those alike vote for a turn and a scale."""
    here, there = _triangles(xy), _triangles(reference_xy)
    if not len(here.longest) or not len(there.longest):
        return []
    order = np.argsort(there.shape[:, 0])
    ratios = there.shape[order, 0]
    first = np.searchsorted(ratios, here.shape[:, 0] - _SHAPE_TOLERANCE)
    counts = np.searchsorted(ratios, here.shape[:, 0] + _SHAPE_TOLERANCE) - first
    mine = np.repeat(np.arange(len(first)), counts)
    theirs = order[np.arange(len(mine)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)]
    alike = np.abs(here.shape[mine, 1] - there.shape[theirs, 1]) < _SHAPE_TOLERANCE
    # Longest sides as complex numbers: their ratio is the turn and the scale.
    ratio = there.longest[theirs[alike]] / here.longest[mine[alike]]
    ratio = ratio[np.abs(np.log(np.abs(ratio))) < _LARGEST_SCALING]
    angle = np.floor(np.angle(ratio) / _ANGLE_STEP).astype(np.intp)
    scale = np.floor(np.log(np.abs(ratio)) / _SCALE_STEP).astype(np.intp)
    cells, votes = np.unique(np.stack([angle, scale], 1), axis=0, return_counts=True)
    turns = []
    for cell in np.argsort(-votes, kind="stable")[:_TRIALS]:
        near = np.abs(np.stack([angle, scale], 1) - cells[cell]).max(axis=1) <= 1
        turn = np.median(ratio[near].real) + 1j * np.median(ratio[near].imag)
        turns.append(_matrix(complex(turn)))
    return turns


@dataclass(frozen=True, eq=False)
class _Triangles:
    """Two ratios of the sides, signed by the sense of rotation, and the longest side, as a complex number."""

    shape: Floats
    longest: npt.NDArray[np.complex128]


def _triangles(xy: Floats) -> _Triangles:
    """Return all triangles of some stars but the slim and the small (Groth 1986, AJ 91, 1244)."""
    points = xy @ np.array([1, 1j])
    corners = np.array(list(combinations(range(len(points)), 3)), dtype=np.intp).reshape(-1, 3)
    # The side at index k lies opposite corner k; all three follow each other round the triangle.
    sides = points[np.roll(corners, -1, axis=1)] - points[np.roll(corners, 1, axis=1)]
    lengths = np.abs(sides)
    order = np.argsort(lengths, axis=1)
    rows = np.arange(len(corners))
    short, middle, long = (lengths[rows, order[:, k]] for k in range(3))
    # Begin the longest side at the corner it shares with the shortest, whichever way round the stars were listed.
    sign = np.where((order[:, 2] + 1) % 3 == order[:, 0], -1, 1)
    longest = sides[rows, order[:, 2]] * sign
    turned = np.sign((np.conj(longest) * sides[rows, order[:, 0]]).imag * sign)
    usable = (long > _SMALLEST_TRIANGLE_PX) & (short > 0.15 * long) & (middle + short > 1.03 * long)
    shape = np.stack([short / np.maximum(long, 1e-9) + 2 * turned, middle / np.maximum(long, 1e-9)], axis=1)
    return _Triangles(shape[usable], longest[usable])

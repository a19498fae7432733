import json

import numpy as np
import pytest

from chalicelib.imaging.align import NO_MATCH, TOO_FEW_STARS, Aligner, Sight, choose_reference
from chalicelib.imaging.headers import FrameError
from chalicelib.imaging.wcs import TangentPlane
from tests.imaging.test_view import turn

SIZE = (400, 300)
STEP_DEG = 1 / 3600


def cards(x=200.0, y=150.0, angle=0.0):
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    matrix = STEP_DEG * np.array([[-cosine, sine], [sine, cosine]])
    numbers = {f"CD{i + 1}_{j + 1}": float(matrix[i, j]) for i in range(2) for j in range(2)}
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 40.0,
        "CRVAL2": 20.0,
        "CRPIX1": x,
        "CRPIX2": y,
    } | numbers


def plane(*arguments):
    return TangentPlane.from_keywords(cards(*arguments))


def stars(count, seed=1):
    return np.random.default_rng(seed).uniform((20, 20), (380, 280), (count, 2))


def sight(xy, known=None):
    return Sight(*SIZE, np.asarray(xy, dtype=float).reshape(-1, 2), known)


def moved_by(transform, point=(100.0, 100.0)):
    return (transform.apply(point) - point).tolist()


def test_stars_alone_tell_where_a_frame_lies():
    reference = stars(30)
    found = sight(reference - (12.3, -4.5)).find_transform(sight(reference))
    assert moved_by(found) == pytest.approx([12.3, -4.5], abs=0.01)


def test_coordinates_alone_tell_where_there_are_few_stars():
    found = sight([], plane(187.7, 154.5)).find_transform(sight(stars(30), plane()))
    assert moved_by(found) == pytest.approx([12.3, -4.5], abs=0.01)


def test_stars_refine_the_coordinates():
    reference = stars(30)
    here = sight(reference - (12.3, -4.5), plane(186.0, 153.0))
    assert moved_by(here.find_transform(sight(reference, plane()))) == pytest.approx([12.3, -4.5], abs=0.01)


def test_stars_overrule_coordinates_that_are_wrong():
    reference = stars(30)
    here = sight(reference - (12.3, -4.5), plane(10.0, 290.0, 40))
    assert moved_by(here.find_transform(sight(reference, plane()))) == pytest.approx([12.3, -4.5], abs=0.01)


def test_a_frame_of_other_stars_is_not_aligned_whatever_its_coordinates_say():
    assert sight(stars(30, seed=2), plane()).find_transform(sight(stars(30), plane())) is None


def test_a_frame_that_cannot_be_aligned_is_refused_with_the_reason():
    aligner = Aligner(sight(stars(30)))
    noise = np.random.default_rng(1).normal(100, 5, SIZE[::-1])
    with pytest.raises(FrameError) as caught:
        aligner.align("a.fits", noise, {})
    assert (caught.value.name, caught.value.reason) == ("a.fits", TOO_FEW_STARS)
    for x, y in stars(30, seed=2).round().astype(int):
        noise[y - 1 : y + 2, x - 1 : x + 2] += 2000
        noise[y, x] += 3000
    with pytest.raises(FrameError) as caught:
        aligner.align("a.fits", noise, {})
    assert caught.value.reason == NO_MATCH


@pytest.mark.parametrize("known", [None, plane()])
@pytest.mark.parametrize("last", [None, turn(3, 1 / 3, 2 / 7)])
def test_an_aligner_goes_through_json_exactly(known, last):
    before = Aligner(sight(stars(20), known), last)
    after = Aligner.from_json(json.loads(json.dumps(before.to_json(), allow_nan=False)), *SIZE)
    assert after.to_json() == before.to_json()
    assert np.array_equal(after.reference.xy, before.reference.xy)
    if last is not None:
        assert np.array_equal(after.last.matrix, last.matrix)
    assert (after.reference.plane is None) == (known is None)


def test_a_blind_frame_is_no_reference():
    assert not Sight.blind(*SIZE).is_usable
    assert sight([], plane()).is_usable


def test_the_reference_is_the_frame_nearest_to_the_middle_that_others_fit():
    field = stars(30)
    sights = [sight(field + number) for number in range(9)]
    assert choose_reference(9, sights.__getitem__) is sights[4]
    sights[4] = sight(stars(30, seed=2))
    sights[3] = sight([])
    assert choose_reference(9, sights.__getitem__) is sights[5]


def test_few_frames_are_looked_at_for_a_reference_and_each_once():
    seen = []

    def look_at(index):
        seen.append(index)
        return sight(stars(30) + index / 10)

    choose_reference(200, look_at)
    assert len(seen) == len(set(seen)) == 5


def test_without_any_frame_that_fits_some_frame_is_the_reference():
    sights = [sight(stars(30, seed=number)) for number in range(4)]
    assert choose_reference(4, sights.__getitem__) in sights
    assert not choose_reference(3, lambda _: Sight.blind(*SIZE)).is_usable

"""The frames that the stand-in's cameras take: each made when it is due, by itself, always the same."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np

from local.frames import Field, header_cards, open_fits, plan_field, render_frames

STAR_COUNT = 60


@dataclass(frozen=True)
class Exposure:
    """One exposure.

    Parameters
    ----------
    seed : int
        Decides the star field; that of all exposures of one request is the same.
    number, count : int
        Which one of how many, from 0.
    time : datetime
        When the shutter opens, UTC.
    exposure_s : float
        How long it stays open.
    cards : tuple
        Names and values of header cards that differ from those of `local.frames`.
    """

    seed: int
    number: int
    count: int
    time: datetime
    exposure_s: float
    cards: tuple[tuple[str, Any], ...] = ()


@lru_cache(maxsize=4)
def _field(count: int, size_px: int, seed: int, exposure_s: float) -> Field:
    return plan_field(count, size_px, seed, star_count=STAR_COUNT, exposure_s=exposure_s)


@lru_cache(maxsize=256)
def render_exposure(exposure: Exposure, size_px: int) -> bytes:
    """Return the file of an exposure: an empty primary HDU, then the Rice-compressed image `SCI`."""
    field = _field(max(exposure.count, exposure.number + 1), size_px, exposure.seed, exposure.exposure_s)
    truth = replace(field.frames[exposure.number], time=exposure.time)
    pixels = next(render_frames(replace(field, frames=(truth,)), exposure.seed + exposure.number))
    cards = {card["name"]: card for card in header_cards(field, truth)}
    for name, value in exposure.cards:
        cards[name] = {"comment": "", **cards.get(name, {}), "name": name, "value": value}
    with open_fits("mem://", "rw") as fits:
        data = np.clip(np.rint(pixels), 0, np.iinfo(np.uint16).max).astype(np.uint16)
        fits.write(data, header=list(cards.values()), extname="SCI", compress="rice")
        content: bytes = fits.read_raw()
    return content

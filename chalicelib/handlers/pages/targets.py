"""The page of a target: its files, films, light curve, processes and observations, and what can be asked for."""

from chalicelib.errors import NotFoundError
from chalicelib.facilities.registry import find_facility
from chalicelib.handlers.operations import HTML, Parameter, operation
from chalicelib.handlers.pages.coordinates import declination, right_ascension
from chalicelib.handlers.pages.home import BUSY_S, IDLE_S
from chalicelib.handlers.pages.rendering import OLDER, ROWS, links, render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.models.data_products import FITS_FILE, FITS_SUFFIXES, DataProduct
from chalicelib.models.observation_templates import MAX_PER_TARGET
from chalicelib.models.observations import Observation
from chalicelib.storage import (
    data_products,
    groups,
    observation_templates,
    observations,
    process_rows,
    reduced_data,
    targets,
)

FILMS = 12
"""Timelapses that a target's page plays; all are among its data products."""

FILES = 50
"""Data products on one page of the gallery."""

OBSERVATIONS = 10
"""Observations on one page of theirs."""


@operation(
    answers={200: HTML},
    parameters=(OLDER, Parameter("observations", "Where the page of observations begins.")),
    refuses=(503,),
)
def show_target(request: Request) -> Reply:
    """Show a target with all that belongs to it, its data products and its observations in pages."""
    from chalicelib.handlers.pages.pipeline_forms import pipeline_forms  # loaded for those who look at a target

    target_id = request.id("target_id")
    target, timelapses = targets.get_with_timelapses(target_id)
    photometry = reduced_data.summarise(target_id)
    processes, has_more_processes = process_rows.newest_of_target(target_id, ROWS)
    products, product_count, page = data_products.read_newest(target_id, FILES, request.query.get("next"))
    asked, observation_count, asked_page = observations.read_page(
        target_id, OBSERVATIONS, request.query.get("observations")
    )
    templates, _, _ = observation_templates.read_page_of_target(target_id, None, None, MAX_PER_TARGET, None)
    around = links(asked_page, "observations")
    is_busy = not all(process.is_ended for process in processes)
    return render(
        request,
        "target.html",
        scripts=("api.js", "refresh.js", "gallery.js", "target.js"),
        shows_files=True,  # the first ones may come while the page is open
        target=target,
        position=None if target.ra is None or target.dec is None else _position(target.ra, target.dec),
        photometry=photometry,
        timelapses=timelapses[:FILMS],
        timelapse_count=len(timelapses),
        processes=processes,
        has_more_processes=has_more_processes,
        products=products,
        fits_ids={product.id for product in products if _is_fits(product)},
        fits_suffixes=" ".join(FITS_SUFFIXES),
        groups=_groups_of(products),
        pipelines=pipeline_forms(),
        product_count=product_count,
        observations=[(each, _may_cancel(each)) for each in asked],
        observation_count=observation_count,
        newer_observations=around["newer"],
        older_observations=around["older"],
        templates=templates,
        refresh_s=BUSY_S if is_busy else IDLE_S,
        **links(page),
    )


def _position(ra: float, dec: float) -> tuple[str, str]:
    return right_ascension(ra), declination(dec)


def _is_fits(product: DataProduct) -> bool:
    return product.data_product_type == FITS_FILE or product.name.lower().endswith(FITS_SUFFIXES)


def _groups_of(products: list[DataProduct]) -> list[tuple[int, str]]:
    """Return id and name of the groups that the products are in: newest first, those with outputs of processes last.

    One BatchGetItem where there are any.
    """
    names = groups.names_of({group_id for product in products for group_id in product.groups})
    made = {group_id for product in products if product.process_id for group_id in product.groups}
    return sorted(names.items(), key=lambda group: (group[0] in made, -group[0]))


def _may_cancel(observation: Observation) -> bool:
    """Say whether there is something left to cancel."""
    try:
        facility = find_facility(observation.facility)
    except NotFoundError:
        return False
    return observation.status not in facility.terminal_states


router.add("/targets/{target_id}", GET=show_target)

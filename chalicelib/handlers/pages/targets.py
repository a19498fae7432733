"""The page of a target: its files, films, light curve and processes."""

from chalicelib.handlers.pages.rendering import ROWS, links, render, router
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.storage import data_products, processes, reduced_data, targets

FILMS = 12
"""Timelapses that a target's page plays; all are among its data products."""


def show_target(request: Request) -> Reply:
    """Show a target with its timelapses, its newest processes, and its data products in pages."""
    target_id = request.id("target_id")
    target, timelapses = targets.get_with_timelapses(target_id)
    photometry = reduced_data.summarise(target_id)
    its_processes = processes.list_of_target(target_id, ROWS + 1)
    products, product_count, page = data_products.read_newest(target_id, ROWS, request.query.get("next"))
    return render(
        request,
        "target.html",
        scripts=("gallery.js",) if products else (),
        shows_files=bool(timelapses or products or photometry.plot_url),
        photometry=photometry,
        target=target,
        timelapses=timelapses[:FILMS],
        timelapse_count=len(timelapses),
        processes=its_processes[:ROWS],
        has_more_processes=len(its_processes) > ROWS,
        products=products,
        product_count=product_count,
        **links(page),
    )


router.add("/targets/{target_id}", GET=show_target)

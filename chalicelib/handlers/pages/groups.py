"""The page of a data product group, and its download as one file."""

from http import HTTPStatus

from chalicelib.handlers.operations import HTML, REDIRECT, operation
from chalicelib.handlers.pages.rendering import PAGE, is_film, part_of, render, router
from chalicelib.handlers.renditions import PAGE_WAIT_S, to_archive
from chalicelib.handlers.replies import Reply
from chalicelib.handlers.request import Request
from chalicelib.models.data_products import PLOT
from chalicelib.services.renditions import find_archive
from chalicelib.settings import get_settings
from chalicelib.storage import data_products, groups, targets

SHOWN = 8
"""Films and plots of a page of files that are shown large; all are in its gallery."""


@operation({200: HTML}, parameters=(PAGE,), refuses=(503,))
def show_group(request: Request) -> Reply:
    """Show a data product group with its files, in pages."""
    group, members = groups.get(request.id("group_id"))
    its, numbers = part_of(request, members)
    found = data_products.get_many(its)
    products = [found[each] for each in its if each in found]
    target_names = targets.names_of({product.target_id for product in products})
    return render(
        request,
        "group.html",
        scripts=("gallery.js",) if products else (),
        shows_files=True,
        group=group,
        products=products,
        count=len(members),
        shown=[product for product in products if is_film(product) or product.data_product_type == PLOT][:SHOWN],
        targets=sorted(target_names.items()),
        process_ids=sorted({product.process_id for product in products if product.process_id}),
        **numbers,
    )


@operation({302: REDIRECT, 202: HTML}, refuses=(409, 503))
def download_group(request: Request) -> Reply:
    """Send the caller to a zip file of all files of a group; while it is made, show a page that asks again."""
    wait_s = min(PAGE_WAIT_S, get_settings().rendition_wait_s)
    group, key = find_archive(request.id("group_id"), wait_s)
    if key is not None:
        return to_archive(group.name, key)
    page = render(request, "waiting.html", group=group)
    return Reply(page.body, HTTPStatus.ACCEPTED, {**page.headers, "Retry-After": "2", "Cache-Control": "no-store"})


router.add("/dataproducts/data/group/{group_id}", GET=show_group)
router.add("/dataproducts/data/group/{group_id}/zip", GET=download_group)

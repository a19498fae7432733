"""Records for storage tests."""

from typing import Any

from chalicelib import clock
from chalicelib.models.data_products import DataProduct, Group
from chalicelib.models.processes import Process
from chalicelib.models.targets import Target
from chalicelib.storage import data_products, groups, processes, targets

NOW = "2026-01-10T03:04:05.678901Z"
UNIX = clock.to_unix(NOW)


def target(**values: Any) -> Target:
    """Keep a target."""
    made = Target(
        **{"id": targets.next_id(), "name": "M 13", "created": NOW, "modified": NOW, "ra": 1.0, "dec": 2.0, **values}
    )
    targets.create(made)
    return made


def draft(target_id: int, name: str = "a.fits", **values: Any) -> DataProduct:
    """Return a data product that is not kept yet."""
    product_id = data_products.next_id()
    return DataProduct(
        **{
            "id": product_id,
            "target_id": target_id,
            "name": name,
            "data_product_type": "fits_file",
            "size": 10,
            "key": f"products/{target_id}/{product_id}/{name}",
            "folder": f"M {target_id}",
            "created": NOW,
            **values,
        }
    )


def product(target_id: int, name: str = "a.fits", **values: Any) -> DataProduct:
    """Keep a data product."""
    made = draft(target_id, name, **values)
    data_products.create(made)
    return made


def group(name: str = "Good") -> Group:
    """Keep a group."""
    made = Group(groups.next_id(), name, NOW)
    groups.create(made)
    return made


def process(target_id: int, identifier: str | None = None, **values: Any) -> Process:
    """Keep a process."""
    process_id = processes.next_id()
    made = Process(
        **{
            "id": process_id,
            "identifier": identifier or f"sc_{target_id}_{process_id}",
            "target_id": target_id,
            "target_folder": "M 13",
            "pipeline": "Scripted",
            "process_type": "Scripted",
            "queue": "pipeline",
            "created": NOW,
            "user": "tester",
            **values,
        }
    )
    processes.create(made, UNIX)
    return made

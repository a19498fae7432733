"""Examples of the telescope API, with the values of its published document where it has them."""

import json
from typing import Any

from chalicelib.handlers.openapi.examples.example import Example

_ADDRESS = "https://sidereal.example"
_TARGET: dict[str, Any] = {
    "id": 1,
    "name": "Hercules Globular Cluster",
    "type": "SIDEREAL",
    "ra": 250.42,
    "dec": 36.46,
    "extra_fields": {"mykey": "myvalue"},
    "created": 1569512700.25,
    "modified": 1569512700.25,
}
_PROCESS: dict[str, Any] = {
    "identifier": "tl_1_20190926154515",
    "created": 1569512715.513135,
    "status": "created",
    "terminal_timestamp": 1569512717.150723,
    "failure_message": None,
    "view_url": "/pipeline/16",
    "process_type": "TimelapsePipeline",
}
_FAILED: dict[str, Any] = {
    "identifier": "astrosource_1_20190926154552",
    "created": 1569512752.759492,
    "status": "failed",
    "terminal_timestamp": 1569512753.583918,
    "failure_message": "All Stars Removed. Try removing problematic files or raising the imageFracReject",
    "view_url": "/pipeline/17",
    "process_type": "AstrosourceProcess",
}
_OUTPUTS = {"group_name": "tl_1_20190926154515_outputs", "group_url": "/dataproducts/data/group/37/"}
_NO_OUTPUTS = {"group_name": None, "group_url": None}
_DETAIL: dict[str, Any] = {
    **_PROCESS,
    "id": 16,
    "target": 1,
    "pipeline": "Timelapse",
    "flags": {"crop": True, "normalise_background": False},
    "options": {"format": "gif", "fps": 10},
    "progress": {"done": 2, "total": 2},
    "status_url": "/api/async/status/1/",
    "logs_url": "/api/pipeline/logs/16/",
    **_OUTPUTS,
}
_PENDING: dict[str, Any] = {
    **_DETAIL,
    "status": "pending",
    "terminal_timestamp": None,
    "progress": {"done": 0, "total": 0},
    **_NO_OUTPUTS,
}
_CANCELLED: dict[str, Any] = {
    **_DETAIL,
    "status": "failed",
    "failure_message": "Cancelled by observer",
    "progress": {"done": 1, "total": 2},
    **_NO_OUTPUTS,
}
_PRODUCT: dict[str, Any] = {
    "id": 5,
    "target": 1,
    "name": "ftfn0m410-kb23-20190413-0059-e91.fits.fz",
    "data_product_type": "fits_file",
    "size": 5_040_000,
    "url": "/data/Hercules%20Globular%20Cluster/none/ftfn0m410-kb23-20190413-0059-e91.fits.fz",
    "groups": [3],
    "created": 1569512701.5,
}
_FORM = {
    "url": "https://sidereal-artefacts.s3.amazonaws.com/",
    "fields": {
        "key": "uploads/1/5/ftfn0m410-kb23-20190413-0059-e91.fits.fz",
        "policy": "eyJleHBpcmF0aW9uIjogIjIwMTktMDktMjZUMTU6NTA6MTVaIn0=",
    },
}
_GROUP = {"id": 3, "name": "Good quality data", "created": 1569512698.0}
_DATUM: dict[str, Any] = {
    "id": 101,
    "target": 1,
    "data_type": "photometry",
    "source_name": "phot_1_20190926154601_58000",
    "timestamp": 1504505400.0,
    "value": {"magnitude": 14.1, "error": 0.02},
    "data_product": 5,
    "process": 18,
}
_TEMPLATE: dict[str, Any] = {
    "id": 2,
    "name": "my-template",
    "target": 1,
    "facility": "LCO",
    "fields": {
        "proposal": "DEMO-2019-001",
        "ipp_value": 1.05,
        "instrument_type": "0M4-SCICAM-QHY600",
        "max_airmass": 1.6,
        "observation_mode": "NORMAL",
        "rp_exposure_count": 5,
        "rp_exposure_time": 30.0,
    },
    "created": 1564650000.0,
    "modified": 1564650000.0,
}
_OBSERVATION: dict[str, Any] = {
    "id": 4,
    "target": 1,
    "facility": "LCO",
    "observation_id": "1880321",
    "status": "PENDING",
    "parameters": {
        **_TEMPLATE["fields"],
        "name": "my-template-2019-08-04-101500",
        "start": "2019-08-05T00:00:00Z",
        "end": "2019-08-10T00:00:00Z",
    },
    "created": 1564913700.0,
    "modified": 1564915500.0,
    "scheduled_start": 1565050200.0,
    "scheduled_end": 1565050800.0,
}
_WISH: dict[str, Any] = {
    "target": 1,
    "template_name": "my-template",
    "facility": "LCO",
    "overrides": {"start": "2019-08-05T00:00:00", "end": "2019-08-10T00:00:00"},
    "email": "someone@someplace.net",
}
_WISH_FORM = {**_WISH, "overrides": json.dumps(_WISH["overrides"])}
_DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"><rect width="100%" height="100%"/></svg>'


def _all(*members: dict[str, Any]) -> dict[str, Any]:
    """Return a list that ends on its first page."""
    return {"count": len(members), "next": None, "previous": None, "results": list(members)}


def _without(record: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {field: value for field, value in record.items() if field not in fields}


_TARGETS: dict[str, Example] = {
    "list_targets": Example(
        {200: {**_all(_TARGET), "count": 240, "next": f"{_ADDRESS}/api/targets/?limit=1&next=WzEsMCwiMSIsdHJ1ZV0"}}
    ),
    "create_target": Example({201: _TARGET}, takes=_without(_TARGET, "id", "created", "modified")),
    "get_target": Example({200: _TARGET}),
    "change_target": Example(
        {200: {**_TARGET, "extra_fields": {"mykey": "myvalue", "distance_kpc": 7.1}, "modified": 1569512790.5}},
        takes={"extra_fields": {"distance_kpc": 7.1}},
    ),
    "get_target_detail": Example(
        {
            200: {
                "target": {"name": _TARGET["name"], "extra_fields": _TARGET["extra_fields"]},
                "timelapses": [
                    {
                        "name": "timelapse_1_20190926154515_t.gif",
                        "format": "gif",
                        "url": "/data/Hercules%20Globular%20Cluster/none/timelapse_1_20190926154515_t.gif",
                        "created": 1569512717.150723,
                        "frames": 2,
                    }
                ],
            }
        }
    ),
    "get_process_status": Example({200: {"timestamp": 1569512837.025409, "processes": [_FAILED, _PROCESS]}}),
    "list_open_processes": Example(
        {
            200: {
                "timestamp": 1569512716.025409,
                "count": 1,
                "is_all": True,
                "processes": [
                    {
                        "id": 16,
                        "identifier": "tl_1_20190926154515",
                        "target": 1,
                        "process_type": "TimelapsePipeline",
                        "created": 1569512715.513135,
                        "status": "pending",
                        "progress": {"done": 1, "total": 2},
                        "view_url": "/pipeline/16",
                    }
                ],
            }
        }
    ),
    "download_photometry": Example(texts={"text/csv": "2017-09-04T05:50:00+00:00,14.1,0.02\r\n"}),
    "list_reduced_data": Example({200: _all(_DATUM)}),
    "get_photometry": Example(
        {
            200: {
                "csv": f"{_ADDRESS}/targets/1/data/download/",
                "plot": f"{_ADDRESS}/data/Hercules%20Globular%20Cluster/none/phot_1_20190926154601_light_curve.png",
            }
        }
    ),
}

_PRODUCTS: dict[str, Example] = {
    "list_products": Example({200: _all(_PRODUCT)}),
    "create_product": Example(
        {201: {**_PRODUCT, "upload": _FORM}},
        takes={"target": 1, "filename": _PRODUCT["name"], "size": _PRODUCT["size"], "group": [3]},
        forms={"multipart/form-data": {"target": 1, "group": [3], "file": "SIMPLE  =                    T"}},
    ),
    "complete_product": Example({200: _PRODUCT}),
    "get_product": Example({200: _PRODUCT}),
    "list_groups": Example({200: _all(_GROUP)}),
    "create_group": Example({201: {**_GROUP, "products": []}}, takes={"name": _GROUP["name"]}),
    "get_group": Example({200: {**_GROUP, "products": [5, 6]}}),
    "change_group": Example({200: {**_GROUP, "products": [5, 6]}}, takes={"add": [6], "remove": [7]}),
    "get_thumbnail": Example(
        {202: {"detail": "The thumbnail is being made; ask again in a moment."}, 404: {"detail": "Not found."}},
        texts={"image/svg+xml": _DRAWING},
    ),
    "get_archive": Example({202: {"detail": "The archive is being made; ask again in a moment."}}),
}

_PROCESSES: dict[str, Example] = {
    "list_pipelines": Example(
        {
            200: [
                {
                    "name": "Timelapse",
                    "short_name": "tl",
                    "flags": {"crop": {"default": False, "long_name": "Crop image edges"}},
                    "options": {
                        "format": {
                            "default": "gif",
                            "long_name": "Format of the film",
                            "type": "string",
                            "choices": ["gif", "mp4", "webm"],
                        },
                        "fps": {
                            "default": 10.0,
                            "long_name": "Frames per second",
                            "type": "number",
                            "exclusive_minimum": 0,
                            "maximum": 60,
                        },
                    },
                    "allowed_suffixes": [".fits", ".fz"],
                }
            ]
        }
    ),
    "start_process": Example(
        {202: _PENDING},
        takes={
            "target": 1,
            "pipeline": "Timelapse",
            "products": [5, 6],
            "flags": {"crop": True, "normalise_background": False},
            "options": {"format": "gif", "fps": 10},
        },
    ),
    "get_process": Example({200: _DETAIL}),
    "get_process_log": Example(
        {
            200: {
                "identifier": "dummy_m13_2019-07-22-163925",
                "created": 1563813565.83185,
                "status": "created",
                "terminal_timestamp": 1563813673.560319,
                "failure_message": None,
                "view_url": "/pipeline/45",
                "process_type": "DummyPipeline",
                "logs": "Processing test_dp_ftfn0m410-kb23-20190413-0059-e91.fits.fz",
                "group_name": "dummy_m13_2019-07-22-163925_outputs",
                "group_url": "/dataproducts/data/group/37/",
            }
        }
    ),
    "follow_process": Example(
        texts={
            "text/event-stream": "retry: 1000\n\n"
            f"id: 16.1.5d41402a.0\nevent: process\ndata: {json.dumps(_DETAIL)}\n\n"
            'id: 16.2.5d41402a.0\nevent: log\ndata: {"text": "Wrote 2 frames\\n"}\n\n'
            "id: 16.2.5d41402a.1\nevent: end\ndata: {}\n\n"
        }
    ),
    "show_log": Example(texts={"text/plain": "Processing ftfn0m410-kb23-20190413-0059-e91.fits.fz\nWrote 2 frames\n"}),
    "cancel_process": Example({200: _CANCELLED}),
    "retry_process": Example({202: _PENDING}),
}

_OBSERVING: dict[str, Example] = {
    "list_templates": Example({200: _all(_TEMPLATE)}),
    "create_template": Example({201: _TEMPLATE}, takes=_without(_TEMPLATE, "id", "created", "modified")),
    "get_template": Example({200: _TEMPLATE}),
    "change_template": Example(
        {200: {**_TEMPLATE, "name": "deeper", "modified": 1564650900.0}}, takes={"name": "deeper"}
    ),
    "observe": Example(
        {201: _WISH},
        takes=_WISH,
        forms=dict.fromkeys(("multipart/form-data", "application/x-www-form-urlencoded"), _WISH_FORM),
    ),
    "list_observations": Example({200: _all(_OBSERVATION)}),
    "get_observation": Example({200: _OBSERVATION}),
    "cancel_observation": Example({200: {**_OBSERVATION, "status": "CANCELED", "modified": 1564915900.0}}),
}

EXAMPLES: dict[str, Example] = {**_TARGETS, **_PRODUCTS, **_PROCESSES, **_OBSERVING}

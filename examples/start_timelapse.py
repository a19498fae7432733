"""Start a timelapse by a message to its queue, wait for its end, say where the film is, and fetch it.

    python examples/start_timelapse.py "M 13" --flag align --option format=mp4 --output film.mp4

Interrupted, it leaves the process running.
Variables: TELESCOPE_TABLE, TIMELAPSE_QUEUE; BUCKET for --output; SIDEREAL_URL, if set, is put before the film's address.
Rights: sqs:GetQueueUrl and sqs:SendMessage on the queue, dynamodb:GetItem on the table, dynamodb:Query on its index
`by_list`; for --output s3:GetObject on `processes/*` of the bucket.
"""

import json
import os
import sys
import uuid
from typing import Any

from shared import need, parser_of, run
from tables import get, members, queue_url, s3, sqs, table_of, target_id
from waiting import wait

MAX_INPUTS = 2000
"""Of one process."""


def option(text: str) -> tuple[str, Any]:
    """Read `format=mp4` or `fps=12.5`; argparse tells of the ValueError."""
    name, value = text.split("=", 1)
    return name, json.loads(value) if value[:1].isdecimal() else value


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("target", help="id or name of the target")
    inputs = parser.add_mutually_exclusive_group()
    inputs.add_argument("--products", type=int, nargs="+", help="ids of frames; all FITS files by default")
    inputs.add_argument("--group", type=int, help="id of a group of frames")
    parser.add_argument("--flag", action="append", default=[], help="align, crop, ...; may be repeated")
    parser.add_argument("--option", action="append", default=[], type=option, help="format=mp4, fps=12.5, ...")
    parser.add_argument("--output", help="file for the film")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds to wait (default: %(default)s)")
    given = parser.parse_args()
    table, bucket, client = table_of("TELESCOPE_TABLE"), given.output and need("BUCKET"), sqs()
    target, request = target_id(table, given.target), str(uuid.uuid4())
    files = members(table, f"TARGET#{target}#PRODUCTS") if given.products is given.group is None else ()
    frames = [int(each["id"]) for each in files if each.get("data_product_type") == "fits_file"]
    products = given.products or frames
    if len(products) > MAX_INPUTS:
        sys.exit(f"error: {len(products)} frames, and a process takes {MAX_INPUTS}: name them with --products")
    what = {"group": given.group} if given.group is not None else {"products": products}
    body = {"version": 1, "kind": "process", "request": request, "target": target, "pipeline": "Timelapse"}
    body |= {"flags": dict.fromkeys(given.flag, True), "options": dict(given.option), **what}
    client.send_message(QueueUrl=queue_url(client, need("TIMELAPSE_QUEUE")), MessageBody=json.dumps(body))
    process = wait(table, request, given.timeout)
    if process["status"] != "created":
        sys.exit(f"error: process {process['id']} has failed: {process.get('failure_message')}")
    for product in process["output_ids"].values():
        film = get(table, f"DATAPRODUCT#{product}", "DATAPRODUCT")
        print(os.environ.get("SIDEREAL_URL", "") + get(table, f"TARGET#{target}", film["timelapse_card"])["url"])
        if given.output:
            s3().download_file(bucket, film["key"], given.output)
    return 0


if __name__ == "__main__":
    run(main)

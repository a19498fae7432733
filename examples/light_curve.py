"""Write the measured magnitudes of a target as CSV, in the order of time: those of all runs, or of one.

    python examples/light_curve.py "HAT-P-32" > curve.csv

Runs may have different zero points: `--process` takes one. What else was measured has columns of its own.
Variables: TELESCOPE_TABLE. Rights: dynamodb:GetItem and dynamodb:Query on the table.
"""

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from boto3.dynamodb.conditions import Key
from shared import parser_of, run
from tables import query, table_of, target_id
from tqdm import tqdm

POINTS_OF_A_BLOCK = 100
COLUMNS = ["time", "mjd", "magnitude", "error", "process", "product"]


def time_of(mjd: float) -> str:
    """Return the time of a modified Julian date, which counts days of UTC since 17 November 1858."""
    return (datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=mjd)).isoformat()


def points_of(table: Any, card: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the points of a run: they lie in blocks, before its texts."""
    blocks = -(-int(card["point_count"]) // POINTS_OF_A_BLOCK)
    first, last = (f"{int(card['attempt']):06d}#{number:06d}" for number in (0, blocks - 1))
    key = Key("pk").eq(f"PROCESS#{card['process_id']}#DATA") & Key("sk").between(first, last)
    found = [point for block in query(table, key, ConsistentRead=True) for point in json.loads(block["data"])]
    return [
        {**further, "time": time_of(mjd), "mjd": mjd, "magnitude": magnitude, "error": error, "product": product}
        | {"process": card["process_id"]}
        for mjd, magnitude, error, product, *more in found
        for further in (more or [{}])
    ]


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("target", help="id or name of the target")
    parser.add_argument("--process", type=int, help="only what this process has measured")
    given = parser.parse_args()
    table = table_of("TELESCOPE_TABLE")
    key = Key("pk").eq(f"TARGET#{target_id(table, given.target)}") & Key("sk").begins_with("DATA#")
    cards = [card for card in query(table, key, ConsistentRead=True) if card["point_count"]]
    if given.process is not None:
        cards = [card for card in cards if card["process_id"] == given.process]
    points: list[dict[str, Any]] = []
    for card in tqdm(cards, unit="run", disable=None):
        points += points_of(table, card)
    points.sort(key=lambda point: (point["mjd"], point["process"]))
    further = sorted({name for point in points for name in point}.difference(COLUMNS))
    table_file = csv.DictWriter(sys.stdout, [*COLUMNS, *further], lineterminator="\n")
    table_file.writeheader()
    table_file.writerows(points)
    return 0


if __name__ == "__main__":
    run(main)

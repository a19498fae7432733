"""The light curve of a target: all that pipelines have measured of it, or what one of them has, as one table."""

from chalicelib.errors import NotFoundError
from chalicelib.storage import reduced_data

MAX_POINTS = 50_000
"""Points of a table. A line has at most 84 bytes, and a Lambda function answers at most 6 MB."""


def photometry_table(target_id: int, process_id: int | None = None) -> str:
    """Return time (ISO 8601, UTC), magnitude and error of all points of a target in the order of time, as tom_education.

    Comma-separated, without a header, lines ended as RFC 4180 has them. Of more than 50,000 points those of the newest runs.

    Parameters
    ----------
    process_id : int, optional
        Only the points of this process: two runs that chose other comparison stars differ in their zero points.

    Raises
    ------
    NotFoundError
        If the process has none of this target.
    """
    lines: list[tuple[float, str]] = []
    for _, points in reduced_data.read_newest(target_id, MAX_POINTS, process_id):
        for point in points:
            line = f"{point.moment.isoformat()},{point.magnitude!r},{point.error!r}\r\n"
            lines.append((point.mjd, line))
    if process_id is not None and not lines:
        raise NotFoundError("Not found.")
    return "".join(line for _, line in sorted(lines))

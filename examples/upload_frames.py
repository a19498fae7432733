"""Upload all FITS frames of a folder to a target, several at once, past the API straight to the bucket.

    python examples/upload_frames.py night1/ --target "M 13" --ra 250.42 --dec 36.46

Frames that the target has already, by name, are left out: interrupted, it goes on where it was. A target that does not
exist is made if --ra and --dec are given. Exit code 1 if a frame was not uploaded; each is named with the reason.
Variables: SIDEREAL_URL, SIDEREAL_TOKEN. Rights in AWS: none, the API signs the uploads.
"""

import sys
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path

import requests
from http_api import Api, reason
from shared import cause, parser_of, run
from tqdm import tqdm
from uploading import Form, target_of

SUFFIXES = (".fits", ".fz", ".fit", ".fts", ".fits.gz")


def upload(api: Api, target: int, path: Path) -> str:
    """Upload one frame, and return why it was refused, "" if it was not.

    Raises an OSError, which those of requests are too, if the file cannot be read or a server does not answer.
    """
    body = {"target": target, "filename": path.name, "size": path.stat().st_size, "data_product_type": "fits_file"}
    same = sha256(f"{body} {path.stat().st_mtime_ns}".encode()).hexdigest()
    for key in (same, str(uuid.uuid4())):  # the first finds what an interrupted run has begun, unless that is too old
        answer = api.ask("POST", "/api/dataproducts/", body, key)
        if not answer.ok:
            return reason(answer)
        form, place = answer.json()["upload"], f"/api/dataproducts/{answer.json()['id']}/"
        file = Form(form["fields"], path)
        sent = requests.post(form["url"], data=file, headers={"Content-Type": file.kind}, timeout=600)
        done = api.ask("POST", f"{place}complete/") if sent.ok else sent
        if done.ok:
            return ""
        if sent.ok and done.status_code == 400:  # it is no frame: its name becomes free again
            api.ask("DELETE", place)
            break
    return reason(done)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("folder", type=Path, help="folder of FITS frames; files of other kinds are left alone")
    parser.add_argument("--target", required=True, help="name or id of the target")
    parser.add_argument("--ra", type=float, help="right ascension of a new target, degrees")
    parser.add_argument("--dec", type=float, help="declination of a new target, degrees")
    parser.add_argument("--jobs", type=int, default=4, help="uploads at once, at most 32 (default: %(default)s)")
    given = parser.parse_args()
    frames = sorted(path for path in given.folder.iterdir() if path.name.lower().endswith(SUFFIXES))
    api = Api()
    target = target_of(api, given.target, given.ra, given.dec)
    there = {each["name"] for each in api.pages(f"/api/dataproducts/?target={target}&limit=500")}
    refused: dict[str, str] = {}
    with ThreadPoolExecutor(min(max(given.jobs, 1), 32)) as pool:
        work = {pool.submit(upload, api, target, path): path.name for path in frames if path.name not in there}
        try:
            for each in tqdm(as_completed(work), total=len(work), unit="frame", disable=None):
                fault = each.exception()
                why = cause(fault) if isinstance(fault, OSError) else each.result()
                refused |= {work[each]: why} if why else {}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # those that are on their way arrive
            raise
    print(f"target {target}: {len(work) - len(refused)} uploaded, {len(frames) - len(work)} were there")
    for name, why in sorted(refused.items()):
        print(f"refused: {name}: {why}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    run(main)

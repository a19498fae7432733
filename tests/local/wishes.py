"""A client of the portal, and what it submits."""

from datetime import datetime, timedelta
from typing import Any

import requests

from local.portal.stand_in import StandIn

SUBMIT = "/api/requestgroups/"


def request_group(now: datetime, **changes: Any) -> dict[str, Any]:
    """Return a request group that the portal takes, its window open from now for a week.

    A change names its place by a path: `requests.0.windows.0.end`; `...` removes what is there.
    """
    group: dict[str, Any] = {
        "name": "HAT-P-32 demo",
        "proposal": "DEMO-2026-001",
        "ipp_value": 1.05,
        "operator": "SINGLE",
        "observation_type": "NORMAL",
        "requests": [
            {
                "configurations": [
                    {
                        "type": "EXPOSE",
                        "instrument_type": "0M4-SCICAM-QHY600",
                        "target": {"name": "HAT-P-32", "type": "ICRS", "ra": 31.04275, "dec": 46.68785, "epoch": 2000},
                        "instrument_configs": [
                            {
                                "exposure_count": 5,
                                "exposure_time": 30.0,
                                "mode": "central30x30",
                                "optical_elements": {"filter": "rp"},
                            }
                        ],
                        "acquisition_config": {},
                        "guiding_config": {},
                        "constraints": {"max_airmass": 1.6, "min_lunar_distance": 20.0},
                    }
                ],
                "windows": [{"start": to_text(now), "end": to_text(now + timedelta(days=7))}],
                "location": {"telescope_class": "0m4"},
            }
        ],
    }
    for path, value in changes.items():
        place: Any = group
        *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
        for part in parents:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return group


def to_text(moment: datetime) -> str:
    """Return a time as clients write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Client:
    """A client of the portal; a token may be another one, or none (`None`)."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, method: str, path: str, auth: str | None = "", **more: Any) -> requests.Response:
        headers = {} if auth is None else {"Authorization": auth or f"Token {self.stand_in.token}"}
        more.setdefault("allow_redirects", False)
        return self._session.request(method, self.stand_in.portal_url + path, headers=headers, timeout=10, **more)

    def get(self, path: str, auth: str | None = "", **query: Any) -> Any:
        answer = self.ask("GET", path, auth, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wish(self, **changes: Any) -> dict[str, Any]:
        return request_group(self.stand_in.now(), **changes)

    def submit(self, **changes: Any) -> dict[str, Any]:
        answer = self.ask("POST", SUBMIT, json=self.wish(**changes))
        assert answer.status_code == 201, answer.text
        group: dict[str, Any] = answer.json()
        return group

    def state(self, request_id: int = 1) -> str:
        return str(self.get(f"/api/requests/{request_id}/")["state"])

"""Bodies of the queue messages. A user's own program may send them; docs/data-model.md shows how."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt


class RunProcess(BaseModel):
    """Ask a job function to run one process; everything else stands in the record of the process."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    version: Literal[1] = 1
    process_id: PositiveInt

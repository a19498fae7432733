"""The context object that Lambda passes to a function, for functions that are called on one machine."""

import os
import time
import uuid

LAMBDA_LIMIT_S = 900.0


class LambdaContext:
    """What a function may ask about its invocation.

    Parameters
    ----------
    function_name : str
        Name of the function, as it would be deployed.
    timeout_s : float
        How long the invocation may take.
    memory_limit_in_mb : int
        Memory that the deployed function would have.
    """

    def __init__(self, function_name: str, timeout_s: float = LAMBDA_LIMIT_S, memory_limit_in_mb: int = 512) -> None:
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = memory_limit_in_mb
        self.aws_request_id = str(uuid.uuid4())
        region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
        self.invoked_function_arn = f"arn:aws:lambda:{region}:000000000000:function:{function_name}"
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = f"local/{os.getpid()}"
        self._deadline = time.monotonic() + timeout_s

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left before Lambda would end the invocation."""
        return max(0, round((self._deadline - time.monotonic()) * 1000))

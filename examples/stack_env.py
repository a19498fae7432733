"""Print the variables that lead the other scripts to a deployed stack, from what the stack says of itself.

    eval "$(python examples/stack_env.py sidereal-dev)"; export SIDEREAL_TOKEN=...

Variables: those of boto3 (region, profile or keys). Rights: cloudformation:DescribeStacks on the stack.
"""

import shlex

import boto3
from shared import parser_of, run
from tables import SOON


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("stack", help="name of the stack")
    given = parser.parse_args()
    answer = boto3.client("cloudformation", config=SOON).describe_stacks(StackName=given.stack)
    for output in answer["Stacks"][0].get("Outputs", []):
        # what is a setting has the setting's name for a description
        name = "SIDEREAL_URL" if output["OutputKey"] == "ApiUrl" else output.get("Description", "")
        if name.isupper() and name.isidentifier():
            print(f"export {name}={shlex.quote(output['OutputValue'])}")
    return 0


if __name__ == "__main__":
    run(main)

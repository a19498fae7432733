"""What tests of the command line stand on: the app behind real HTTP, and AWS in memory."""

from tests.examples.conftest import address as address

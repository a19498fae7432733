"""Sidereal: the code that every Lambda function of the bundle shares."""

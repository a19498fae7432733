"""The API's description of itself: made of the routes, of what each view tells, and of the models; see `document`.

Only `description` is imported with the app. The rest is when somebody asks for the description.
"""

from chalicelib.handlers.openapi.description import blueprint

__all__ = ["blueprint"]

"""Productions of the asimov REST API, and the same records under their newer name, analyses."""

from dataclasses import dataclass

from chalice import Blueprint

from chalicelib import clock
from chalicelib.errors import ConflictError, NotFoundError
from chalicelib.handlers.events import unwrap
from chalicelib.handlers.http import Router
from chalicelib.handlers.replies import ASIMOV, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.productions import Production, ProductionChange, ProductionInput
from chalicelib.models.validation import validate_asimov
from chalicelib.services import productions as service
from chalicelib.storage import events
from chalicelib.storage import productions as storage

blueprint = Blueprint(__name__)
router = Router(blueprint, ASIMOV)


@dataclass(frozen=True)
class Views:
    """The views under one of the two names.

    Parameters
    ----------
    noun, plural : str
        The keys of the answers, and the words of the errors: ``production``, ``productions``.
    """

    noun: str
    plural: str

    def list_of_event(self, request: Request) -> Reply:
        """List the productions of an event in creation order."""
        _, found = events.get(request.params["event_name"])
        return Reply({self.plural: [production.summary() for production in found]})

    def create(self, request: Request) -> Reply:
        """Add a production to an event."""
        given = validate_asimov(ProductionInput, request.json_object())
        production = Production(
            event_name=request.params["event_name"],
            name=given.name,
            pipeline=given.pipeline,
            created=clock.to_text(clock.now()),
            comment=given.comment or "",
            dependencies=tuple(dict.fromkeys(given.dependencies)),
            meta=given.meta,
        )
        reply = Reply({self.noun: production.public()}, 201)
        try:
            service.create_production(production, request.seal(reply))
        except ConflictError:
            raise ConflictError(f"{self.noun.capitalize()} already exists") from None
        return reply

    def get(self, request: Request) -> Reply:
        """Show a production."""
        try:
            production = service.get_production(*_names(request))
        except NotFoundError as error:
            raise self._named(error) from None
        return Reply({self.noun: production.public()})

    def update(self, request: Request) -> Reply:
        """Change what is given; `meta` is merged at its top level."""
        change = validate_asimov(ProductionChange, unwrap(request.json_object(), self.noun))
        try:
            production = service.change_production(*_names(request), change)
        except NotFoundError as error:
            raise self._named(error) from None
        return Reply({self.noun: production.public()})

    def delete(self, request: Request) -> Reply:
        """Delete a production."""
        try:
            storage.delete(*_names(request))
        except NotFoundError as error:
            raise self._named(error) from None
        return Reply(None, 204)

    def _named(self, error: NotFoundError) -> NotFoundError:
        return NotFoundError(str(error).replace("Production", self.noun.capitalize()))

    def register(self) -> None:
        """Put the views at their addresses."""
        router.add(f"/api/v1/events/{{event_name}}/{self.plural}", GET=self.list_of_event)
        router.add(f"/api/v1/{self.plural}/{{event_name}}", POST=self.create)
        router.add(
            f"/api/v1/{self.plural}/{{event_name}}/{{production_name}}",
            GET=self.get,
            PUT=self.update,
            DELETE=self.delete,
        )


def _names(request: Request) -> tuple[str, str]:
    return request.params["event_name"], request.params["production_name"]


Views("production", "productions").register()
Views("analysis", "analyses").register()

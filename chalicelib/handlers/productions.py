"""Productions of the asimov REST API, and the same records under their newer name, analyses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalice import Blueprint

from chalicelib import clock
from chalicelib.errors import ConflictError, NotFoundError
from chalicelib.handlers.events import unwrap
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import EMPTY, operation
from chalicelib.handlers.replies import ASIMOV, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.productions import (
    AnalysisAgain,
    AnalysisList,
    AnalysisReply,
    Production,
    ProductionAgain,
    ProductionChange,
    ProductionInput,
    ProductionList,
    ProductionReply,
)
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
    types : mapping
        Types of bodies under the name ``production`` -> those under this one.
    """

    noun: str
    plural: str
    types: Mapping[Any, Any] = field(default_factory=dict)

    @operation(answers={200: ProductionList})
    def list_productions(self, request: Request) -> Reply:
        """List the productions of an event in creation order."""
        _, found = events.get(request.params["event_name"])
        return Reply({self.plural: [production.summary() for production in found]})

    @operation(answers={201: ProductionReply}, takes=ProductionInput, refuses=(409,))
    def create_production(self, request: Request) -> Reply:
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

    @operation(answers={200: ProductionReply})
    def get_production(self, request: Request) -> Reply:
        """Show a production."""
        try:
            production = service.get_production(*_names(request))
        except NotFoundError as error:
            raise self._named(error) from None
        return Reply({self.noun: production.public()})

    @operation(answers={200: ProductionReply}, takes=ProductionChange | ProductionAgain)
    def update_production(self, request: Request) -> Reply:
        """Change what is given of a production; `meta` is merged at its top level."""
        change = validate_asimov(ProductionChange, unwrap(request.json_object(), self.noun))
        try:
            production = service.change_production(*_names(request), change)
        except NotFoundError as error:
            raise self._named(error) from None
        return Reply({self.noun: production.public()})

    @operation(answers={204: EMPTY})
    def delete_production(self, request: Request) -> Reply:
        """Delete a production."""
        try:
            storage.delete(*_names(request))
        except NotFoundError as error:
            raise self._named(error) from None
        return Reply(None, 204)

    def spelled(self, text: str) -> str:
        """Return a text about productions as it is under this name."""
        for plain, own in (("productions", self.plural), ("production", self.noun)):
            article = "an" if own[0] in "aeiou" else "a"
            text = text.replace(f"a {plain}", f"{article} {own}")
            text = text.replace(plain, own).replace(plain.capitalize(), own.capitalize())
        return text

    def _named(self, error: NotFoundError) -> NotFoundError:
        return NotFoundError(self.spelled(str(error)))

    def register(self) -> None:
        """Put the views at their addresses."""
        router.add(f"/api/v1/events/{{event_name}}/{self.plural}", GET=self.list_productions)
        router.add(f"/api/v1/{self.plural}/{{event_name}}", POST=self.create_production)
        router.add(
            f"/api/v1/{self.plural}/{{event_name}}/{{production_name}}",
            GET=self.get_production,
            PUT=self.update_production,
            DELETE=self.delete_production,
        )


def _names(request: Request) -> tuple[str, str]:
    return request.params["event_name"], request.params["production_name"]


Views("production", "productions").register()
Views(
    "analysis",
    "analyses",
    {
        ProductionList: AnalysisList,
        ProductionReply: AnalysisReply,
        ProductionChange | ProductionAgain: ProductionChange | AnalysisAgain,
    },
).register()

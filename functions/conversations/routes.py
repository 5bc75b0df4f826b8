"""The routes of docs/api.md's "Conversations": what comes in is checked here, what happens is decided in the modules beside."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from pydantic import BaseModel, ConfigDict, StringConstraints

from functions.common.access import Caller
from functions.common.problems import Field, InvalidRequest, MethodNotAllowed, NotFound
from functions.common.quotas import Quotas
from functions.conversations import answers, branches, changes, deletion, filename, openapi, reading, usage, views
from functions.conversations.errors import as_problem
from functions.conversations.store import Store

COLLECTION: Final = "/api/conversations"
ITEM: Final = "/api/conversations/<conversation_id>"
EXPORT: Final = "/api/conversations/<conversation_id>/export"
USAGE: Final = "/api/usage"
DOCUMENT: Final = "/api/openapi.json"
PUBLIC: Final = frozenset({("GET", DOCUMENT)})  # needs no token; everything else does
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

ConversationId = Annotated[str, Path(description="The conversation's UUID.")]
WorkspaceId = Annotated[
    str | None, Query(alias="workspaceId", min_length=1, max_length=255, description="By default the personal workspace.")
]
Cursor = Annotated[str | None, Query(max_length=200, description="From the page before this one.")]
ListLimit = Annotated[int, Query(ge=1, le=100)]
MessageLimit = Annotated[int, Query(ge=1, le=500, description="At most; heavy messages make a shorter page.")]
Order = Annotated[
    Literal["oldest", "newest"],
    Query(
        description="`oldest`: all branches from the root on. `newest`: one branch, the page at its end first, older ones by"
        " cursor; by default the branch with the newest leaf. Within a page parents always stand before children."
    ),
]
Through = Annotated[
    str | None,
    Query(
        max_length=50,
        description="With `order=newest`: a message's id, or `<orderKey>:<id>`, which is found quicker. The branch through it,"
        " down to its newest leaf; where there is no such message, the branch with the newest leaf.",
    ),
]
Since = Annotated[
    str | None,
    Query(
        max_length=40,
        description="A time: only messages that are new or have changed after it, of all branches. Best an earlier answer's"
        " `asOf`. A page may be empty and still have a cursor.",
    ),
]
# No control characters (C0, DEL, C1), no line or paragraph separators: a title is one line wherever it is shown.
Title = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$", strict=True
    ),
]


class TitleChange(BaseModel):
    """A new title: 1 to 200 characters, trimmed, on one line. It is no activity: the conversation keeps its place in the list."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: Title


class Routes:
    """One app's routes over one store. The gate before the app puts the `caller` into the app's context."""

    def __init__(self, store: Store, logger: Logger, quotas: Quotas) -> None:
        self._store = store
        self._quotas = quotas
        self._logger = logger
        self.app = LambdaFunctionUrlResolver(
            enable_validation=True,
            response_validation_error_http_code=500,
            debug=False,
            serializer=partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
            json_body_deserializer=parse_object,
        )
        # Nothing may get past this one: Powertools would log the exception with its text, and answer in its own form.
        self.app.exception_handler(Exception)(lambda error: answers.from_problem(as_problem(error, logger)))
        self._allowed: dict[str, list[str]] = {}
        self._serve("GET", COLLECTION, self.list_conversations, summary="Conversations of a workspace, newest activity first")
        self._serve("GET", ITEM, self.get_conversation, summary="A conversation with a page of its messages")
        self._serve("PATCH", ITEM, self.rename_conversation, summary="Rename a conversation")
        self._serve("DELETE", ITEM, self.delete_conversation, summary="Delete a conversation, every item of it", status_code=204)
        self._serve("GET", EXPORT, self.export_conversation, summary="The whole conversation as one document")
        self._serve("GET", USAGE, self.get_usage, summary="What the caller's turns cost, and what limits them")
        self._serve("GET", DOCUMENT, self.openapi_document, include_in_schema=False)
        self._refuse_other_methods()

    def _serve(self, method: str, path: str, operation: Callable[..., Any], **documented: Any) -> None:
        self._allowed.setdefault(path, []).append(method)
        self.app.route(path, method, middlewares=[_refuse_unknown_parameters], operation_id=operation.__name__, **documented)(
            operation
        )

    def _refuse_other_methods(self) -> None:
        """The router knows no 405: a method that a path does not have gets one from a route of its own."""

        def refusal(allowed: str) -> Callable[..., None]:
            def refuse(**_path: str) -> None:
                raise MethodNotAllowed(headers={"allow": allowed})

            return refuse

        for path, methods in self._allowed.items():
            others = [method for method in _METHODS if method not in methods]
            self.app.route(path, others, include_in_schema=False, enable_validation=False)(refusal(", ".join(methods)))

    def list_conversations(self, workspace_id: WorkspaceId = None, limit: ListLimit = 30, cursor: Cursor = None) -> views.Listing:
        return reading.listing(self._store, self._caller, workspace_id, limit, cursor)

    def get_conversation(
        self,
        conversation_id: ConversationId,
        limit: MessageLimit = 100,
        cursor: Cursor = None,
        order: Order = "oldest",
        through: Through = None,
        since: Since = None,
    ) -> views.Conversation:
        if through is not None and (order != "newest" or since is not None):
            raise InvalidRequest("through: only with order=newest", [Field("through", "only with order=newest, without since")])
        place = None if through is None else branches.asked(through)
        when = None if since is None else changes.since_when(since)
        meta = reading.authorised(self._store, self._caller, conversation_id)
        if when is not None:
            return changes.page(self._store, meta, limit, cursor, when, self._logger, self._remaining_ms)
        if order == "newest":
            return branches.page(self._store, meta, limit, cursor, place, self._logger)
        return reading.page(self._store, meta, limit, cursor, self._logger)

    def rename_conversation(self, conversation_id: ConversationId, change: Annotated[TitleChange, Body()]) -> views.Heading:
        meta = reading.authorised(self._store, self._caller, conversation_id)
        renamed = self._store.rename(conversation_id, meta["workspace_id"], change.title)
        if renamed is None:
            raise NotFound
        return views.heading(renamed)

    def delete_conversation(self, conversation_id: ConversationId) -> Response[None]:
        meta = reading.authorised(self._store, self._caller, conversation_id, deleted=True)
        deletion.delete(self._store, meta, self._remaining_ms)
        return Response(204)

    def export_conversation(self, conversation_id: ConversationId) -> Response[views.Conversation]:
        meta = reading.authorised(self._store, self._caller, conversation_id)
        headers = {"Content-Disposition": filename.attachment(meta.get("title", ""), "conversation", ".json")}
        return Response(200, "application/json", reading.whole(self._store, meta, self._logger, self._remaining_ms), headers)

    def get_usage(self) -> usage.Usage:
        now = datetime.now(UTC)
        days = self._store.usage(self._caller.user_id, *usage.month_of(now))
        return usage.usage(days, now, self._quotas)

    def openapi_document(self) -> dict[str, Any]:
        return openapi.document(self.app, DOCUMENT)

    def _remaining_ms(self) -> int:
        return int(self.app.lambda_context.get_remaining_time_in_millis())

    @property
    def _caller(self) -> Caller:
        return cast("Caller", self.app.context["caller"])


def parse_object(text: str) -> dict[str, Any]:
    """A request body, which must be a JSON object; raises InvalidRequest. Deep nesting ends in it, too."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("body: not valid JSON", [Field("body", "not valid JSON")]) from None
    if not isinstance(value, dict):
        raise InvalidRequest("body: not a JSON object", [Field("body", "not a JSON object")])
    return value


def _refuse_unknown_parameters(app: LambdaFunctionUrlResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """A misspelt `cursor` would silently give the first page again, for ever."""
    known = {param.alias for param in app.context["_route"].dependant.query_params}
    if unknown := sorted(app.current_event.query_string_parameters.keys() - known):
        raise InvalidRequest(
            "There is no such query parameter.", [Field(name[:100], "there is no such query parameter") for name in unknown]
        )
    return next_middleware(app)

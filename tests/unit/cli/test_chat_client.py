"""The terminal client against a real server: what it asks, what it prints, how it ends."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chat_cli import chat as client
from tests.unit.cli.scripted_api import ScriptedApi, complete, document, frame, problem, scripted_api, start, stream


class Run(NamedTuple):
    code: int
    out: str
    err: str


Chat = Callable[..., Run]


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with scripted_api() as api:
        yield api


@pytest.fixture
def chat(api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Chat:
    """Runs the client with its output in a pipe, against `api` and with a state of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("CHAT_URL", api.url)
    monkeypatch.delenv("CHAT_TOKEN", raising=False)
    monkeypatch.setattr(client, "BACKOFF_S", (0.0, 0.0))

    def run(*args: str) -> Run:
        with pytest.raises(SystemExit) as ended:
            client.main(args)
        out, err = capsys.readouterr()
        return Run(int(ended.value.code or 0), out, err)

    return run


def token(number: int, content: str) -> bytes:
    return frame(number, "token", content=content)


def test_a_pipe_gets_the_answer_and_nothing_else(api: ScriptedApi, chat: Chat) -> None:
    created = frame(3, "conversationCreated", conversationId="conv-1")
    thought = frame(2, "reasoning", content="hmm")
    api.on("POST", "/api/chat", stream(start(), thought, created, token(4, "**Hel"), token(5, "lo**\033[1m"), complete(6)))
    assert chat("hello", "there") == Run(0, "**Hello**\033[1m\n", "")
    (asked,) = api.requests
    assert [(message["role"], message["content"]) for message in asked.document["messages"]] == [("user", "hello there")]
    assert asked.document["turnId"]
    assert "authorization" not in asked.headers


def test_the_options_of_a_turn_are_sent(api: ScriptedApi, chat: Chat) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "x"), complete(3)))
    assert chat("--bud", "coder", "-m", "big", "--workspace", "team", "--token", "jwt", "hi").code == 0
    (asked,) = api.requests
    assert (asked.document["budId"], asked.document["model"], asked.document["workspaceId"]) == ("coder", "big", "team")
    assert asked.headers["authorization"] == "Bearer jwt"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_every_request_but_get_carries_the_digest_of_its_body(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The empty body's too, and on this machine too: its front may be as strict as CloudFront."""
    monkeypatch.setenv("NO_PROXY", "0.0.0.0")
    with scripted_api(host) as api, client.Server(api.url, "jwt") as server:  # 0.0.0.0 is a name that is not loopback's
        api.on("POST", "/api/chat", stream(start(), token(2, "x"), complete(3)))
        api.on("POST", "/api/turns/*/stop", document({}, 202))
        api.on("GET", "/api/buds", document([]))
        list(server.frames("/api/chat", '{"text": "häppy"}'.encode()))
        server.stop("turn")
        server.get("/api/buds")
    assert [(asked.method, asked.headers.get("x-amz-content-sha256")) for asked in api.requests] == [
        (asked.method, hashlib.sha256(asked.body).hexdigest() if asked.method == "POST" else None) for asked in api.requests
    ]
    assert [len(asked.body) > 0 for asked in api.requests] == [True, False, False]


def test_a_query_has_one_reading(api: ScriptedApi) -> None:
    """`+` is a space in a form and a plus in a signature."""
    api.on("GET", "/api/conversations", document({"items": []}))
    with client.Server(api.url, "jwt") as server:
        server.get("/api/conversations", workspaceId="a b+c*d")
        server.get("/api/conversations")
    assert [asked.query for asked in api.requests] == ["workspaceId=a%20b%2Bc%2Ad", ""]


def test_a_message_of_one_dash_is_read_from_standard_input(api: ScriptedApi, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "x"), complete(3)))
    monkeypatch.setattr(sys, "stdin", StringIO("a diff\nof two lines"))
    assert chat("-").code == 0
    assert api.requests[0].document["messages"][0]["content"] == "a diff\nof two lines"


def test_verbose_tells_times_tokens_and_ids_on_stderr(api: ScriptedApi, chat: Chat) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "Hel"), token(3, "lo"), complete(4)))
    run = chat("-v", "hello")
    assert run.out == "Hello\n"
    assert "s to the first token · test-model · 3 tokens in, 8 out" in run.err
    assert "conversation conv-1" in run.err


def test_an_error_event_keeps_the_text_and_fails_with_one_sentence(api: ScriptedApi, chat: Chat) -> None:
    failed = frame(3, "error", code="model_cut", message="The model broke off.", retryable=True, partial=True)
    api.on("POST", "/api/chat", stream(start(), token(2, "Half an ans"), failed))
    assert chat("hello") == Run(1, "Half an ans\n", "chat: The model broke off (model_cut). The text above is saved.\n")


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (
            problem(422, "There is no such assistant", "unknown_bud", "budId: x"),
            "There is no such assistant: budId: x (unknown_bud)",
        ),
        (
            problem(429, "The quota is used up", "quota_exceeded", **{"retry-after": "60"}),
            "The quota is used up; try again in 60 s",
        ),
        (problem(401, "A valid access token is needed", "unauthenticated"), "set CHAT_TOKEN, or pass --token"),
        (document({"error": "x"}, 502), "answered 502 Bad Gateway."),
        (document({"hello": "world"}), "does not speak this API"),
        (stream(b"data: not json\n\n"), "does not speak this API"),
        (stream(b"data: [1]\n\n"), "does not speak this API"),
    ],
)
def test_a_refusal_is_one_sentence(api: ScriptedApi, chat: Chat, reply: Any, sentence: str) -> None:
    api.on("POST", "/api/chat", reply)
    run = chat("hello")
    assert (run.code, run.out) == (1, "\n" if run.out else "")
    assert sentence in run.err
    assert run.err.count("\n") == 1
    assert len(api.requests) == 1


@pytest.mark.parametrize("cut", [True, False], ids=["broken off", "ended without a last event"])
def test_a_cut_is_resumed_after_the_last_event_and_nothing_is_shown_twice(api: ScriptedApi, chat: Chat, cut: bool) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "One "), token(3, "two ")[:9], cut=cut))
    api.on(
        "GET",
        "/api/turns/*/stream",
        problem(503, "Storage does not answer right now", "unavailable"),
        stream(token(2, "One "), token(3, "two "), cut=cut),
        stream(token(4, "three"), complete(5)),
    )
    assert chat("hello") == Run(0, "One two three\n", "")
    turn = api.requests[0].document["turnId"]
    resumes = api.asked("GET", f"/api/turns/{turn}/stream")
    assert [request.headers["last-event-id"] for request in resumes] == ["2", "2", "3"]


def test_a_cut_before_the_first_event_repeats_the_same_request(api: ScriptedApi, chat: Chat) -> None:
    api.on("POST", "/api/chat", stream(b": keepalive\n\n", cut=True), stream(start(), token(2, "Hello"), complete(3)))
    assert chat("hello") == Run(0, "Hello\n", "")
    first, second = api.requests
    assert first.body == second.body


def test_a_connection_that_does_not_come_back_is_said_after_the_last_attempt(api: ScriptedApi, chat: Chat) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "One "), cut=True))
    api.on("GET", "/api/turns/*/stream", stream(cut=True))
    run = chat("hello")
    assert (run.code, run.out) == (1, "One \n")
    assert "does not come back" in run.err
    assert len(api.asked("GET", "/api/turns/*/stream")) == 2


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (complete(3, "stopped"), "chat: The answer was stopped.\n"),
        (complete(3, "truncated"), "chat: The answer was cut at the length limit.\n"),
        (complete(3, durable=False), "chat: Storage has not confirmed this answer yet.\n"),
    ],
)
def test_an_unusual_end_is_said_on_stderr(api: ScriptedApi, chat: Chat, end: bytes, said: str) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "x"), end))
    assert chat("hello") == Run(0, "x\n", said)


def message(
    name: str, parent: str | None, role: str, at: int, status: str = "complete", content: str | None = None
) -> dict[str, Any]:
    return {
        "id": name,
        "parentId": parent,
        "orderKey": "000000",
        "role": role,
        "content": name.upper() if content is None else content,
        "status": status,
        "meta": {},
        "createdAt": f"2026-11-22T18:00:{at:02d}.000Z",
    }


def pages(*pages: list[dict[str, Any]]) -> list[Any]:
    head = {"id": "conv-1", "title": "T", "workspaceId": "w", "budId": "coder", "model": "big", "createdAt": "", "updatedAt": ""}
    last = len(pages) - 1
    return [document({**head, "messages": page, **({"cursor": f"c{n}"} if n < last else {})}) for n, page in enumerate(pages)]


# a1 and a2 answer u1 (a2 is the regeneration); u2 edits what followed a1; the newest leaf is b2.
TREE = (
    [message("u1", None, "user", 1), message("a1", "u1", "assistant", 2), message("a2", "u1", "assistant", 5)],
    [
        message("b1", "a1", "user", 3),
        message("c1", "b1", "assistant", 4, "failed"),
        message("b2", "a2", "user", 6),
    ],
)


def test_continue_sends_the_newest_branch_of_all_pages_and_names_its_leaf_as_parent(api: ScriptedApi, chat: Chat) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "x"), complete(3)))
    api.on("GET", "/api/conversations/conv-1", *pages(*TREE))
    api.on("POST", "/api/chat/conv-1", stream(start(), token(2, "y"), complete(3)))
    assert chat("hello").code == 0
    assert chat("--continue", "and", "then?") == Run(0, "y\n", "")
    body = api.requests[-1].document
    assert [(item["role"], item["content"]) for item in body["messages"]] == [
        ("user", "U1"),
        ("assistant", "A2"),
        ("user", "B2"),
        ("user", "and then?"),
    ]
    assert [item["id"] for item in body["messages"][:3]] == ["u1", "a2", "b2"]
    assert (body["parentId"], body["budId"], body["model"]) == ("b2", "coder", "big")
    assert "workspaceId" not in body
    assert [request.query for request in api.asked("GET", "/api/conversations/conv-1")] == ["", "cursor=c0"]


def test_continue_asks_for_the_conversation_of_a_turn_that_was_not_stored_in_time(api: ScriptedApi, chat: Chat) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "x"), complete(3, conversation=None)))
    api.on("GET", "/api/turns/0199aaaa-0000-7000-8000-000000000000", document({}), document({"conversationId": "conv-1"}))
    api.on("GET", "/api/conversations/conv-1", *pages([message("u1", None, "user", 1)]))
    api.on("POST", "/api/chat/conv-1", stream(start(), token(2, "y"), complete(3)))
    assert chat("hello").code == 0
    assert "not stored yet" in chat("--continue", "more").err
    assert chat("--continue", "more") == Run(0, "y\n", "")


def test_continue_waits_for_no_answer_that_is_still_being_written(api: ScriptedApi, chat: Chat) -> None:
    api.on("POST", "/api/chat", stream(start(), token(2, "x"), complete(3)))
    api.on(
        "GET",
        "/api/conversations/conv-1",
        *pages([message("u1", None, "user", 1), message("a1", "u1", "assistant", 2, "streaming")]),
    )
    chat("hello")
    run = chat("-c", "more")
    assert run.code == 1
    assert "still being written" in run.err


def test_continue_without_a_conversation_says_so(chat: Chat) -> None:
    run = chat("--continue", "more")
    assert run.code == 1
    assert "There is no conversation" in run.err


def test_a_state_that_cannot_be_written_costs_only_continue(
    api: ScriptedApi, chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    api.on("POST", "/api/chat", stream(start(), token(2, "x"), complete(3)))
    run = chat("hello")
    assert (run.code, run.out) == (0, "x\n")
    assert "cannot be written" in run.err


def test_a_damaged_state_is_no_state(api: ScriptedApi, chat: Chat, tmp_path: Path) -> None:
    folder = tmp_path / "streaming-first-chat"
    folder.mkdir()
    (folder / "last.json").write_text("{half")
    api.on("POST", "/api/chat", stream(start(), token(2, "x"), complete(3)))
    assert chat("hello") == Run(0, "x\n", "")
    assert json.loads((folder / "last.json").read_text()) == {api.url: {"conversation": "conv-1"}}


def test_list_follows_the_pages_up_to_its_limit_in_lines_for_a_pipe(api: ScriptedApi, chat: Chat) -> None:
    def item(n: int) -> dict[str, str]:
        return {"id": f"c{n}", "title": f"title\t{n}\n\033[31m", "updatedAt": "2026"}

    api.on(
        "GET",
        "/api/conversations",
        document({"items": [item(1), item(2)], "cursor": "next"}),
        document({"items": [item(3), item(4)]}),
    )
    run = chat("list", "--limit", "3", "-w", "team")
    assert run == Run(0, "c1\t2026\ttitle 1 [31m\nc2\t2026\ttitle 2 [31m\nc3\t2026\ttitle 3 [31m\n", "")
    assert [request.query for request in api.requests] == ["workspaceId=team", "cursor=next&workspaceId=team"]


def test_show_prints_the_newest_branch_and_counts_the_rest(api: ScriptedApi, chat: Chat) -> None:
    api.on("GET", "/api/conversations/conv-1", *pages(*TREE))
    assert chat("show", "conv-1") == Run(
        0, "## user\n\nU1\n\n## assistant\n\nA2\n\n## user\n\nB2\n", "chat: 3 more in other branches.\n"
    )


def test_show_says_what_became_of_an_unfinished_answer(api: ScriptedApi, chat: Chat) -> None:
    cut_short = message("a1", "u1", "assistant", 2, "interrupted", "Half")
    api.on("GET", "/api/conversations/conv-1", *pages([message("u1", None, "user", 1), cut_short]))
    assert chat("show", "conv-1").out.endswith("## assistant (interrupted)\n\nHalf\n")


def test_show_of_an_unknown_conversation_fails(chat: Chat) -> None:
    assert chat("show", "nope") == Run(1, "", "chat: There is nothing here (not_found)\n")


def test_buds_lists_the_assistants(api: ScriptedApi, chat: Chat) -> None:
    api.on("GET", "/api/buds", document([{"id": "coder", "name": "Coder", "description": "Writes code", "models": ["a", "b"]}]))
    assert chat("buds").out == "coder\tCoder\ta, b\tWrites code\n"


@pytest.mark.parametrize(
    "args",
    [("",), ("--nonsense", "hi"), ("--url", "ftp://x", "hi"), ("--token", "a\nb", "hi"), ("show",), ("list", "of", "things")],
)
def test_a_wrong_call_exits_with_2_and_asks_nothing(api: ScriptedApi, chat: Chat, args: tuple[str, ...]) -> None:
    run = chat(*args)
    assert (run.code, run.out) == (2, "")
    assert run.err
    assert api.requests == []


@pytest.mark.parametrize(
    ("args", "understood"),
    [
        (["hello"], ["say", "hello"]),
        (["list"], ["list"]),
        (["--", "list"], ["say", "--", "list"]),
        (["say", "list"], ["say", "list"]),
        (["--url", "http://x", "list"], ["list", "--url", "http://x"]),
        (["--url=http://x", "show", "1"], ["show", "--url=http://x", "1"]),
        (["--bud", "list", "hello"], ["say", "--bud", "list", "hello"]),
        (["-c", "tell me the list"], ["say", "-c", "tell me the list"]),
        (["-"], ["say", "-"]),
        (["-v"], ["say", "-v"]),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_the_first_word_is_the_command_if_it_names_one(args: list[str], understood: list[str]) -> None:
    assert client.with_command(args) == understood

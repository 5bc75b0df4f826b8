"""GUARANTEES 32: the key is fetched once and goes to the model alone; what people and the model say is in no log."""

import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from local.model.script import Step, cut, done, error_object, finish, raw, status, token
from tests.oidc import OidcProvider
from tests.support.chat import Api, user
from tests.support.system import System
from tests.support.whole_api import whole_api
from tests.support.wire import broken

NAME, KEY = "the-models-key", "sk-canary-of-the-key"
SAID, ANSWERED, TITLE = "canary in a prompt", "canary in an answer", "canary in a title"


@pytest.fixture
def in_secrets_manager(chat_system: System) -> Iterator[None]:
    """The key as a deployment has it."""
    manager = boto3.client("secretsmanager", endpoint_url=chat_system.endpoint)
    manager.create_secret(Name=NAME, SecretString=f"{KEY}\n")  # as of a file
    yield
    manager.close()


@pytest.mark.usefixtures("in_secrets_manager")
def test_the_key_is_fetched_once_for_many_turns_at_once_and_after(chat_system: System) -> None:
    chat_system.model.always_plays(token("hi"), finish(), done())
    api = chat_system.serve(OPENAI_API_KEY="", CHAT_MODEL_KEY_SECRET=NAME, CHAT_RECEIPT_WAIT_S="0.05")

    with ThreadPoolExecutor(5) as pool:
        assert {stream.last["type"] for stream in pool.map(api.say, "abcde")} == {"complete"}
    api.say("and one more")

    assert [call.body["SecretId"] for call in chat_system.wire.calls("GetSecretValue")] == [NAME]
    assert {request.headers["authorization"] for request in chat_system.model.requests} == {f"Bearer {KEY}"}


SCRIPTS: dict[str, tuple[Step, ...]] = {
    "answered": (token(ANSWERED), finish(), done()),
    "refused, the key in the words": (status(401, body={"error": {"message": f"Incorrect API key provided: {KEY}"}}),),
    "refused, the prompt in the words": (status(400, body={"error": {"message": f"I will not: {SAID}"}}),),
    "an error inside": (token(ANSWERED), error_object("server_error", f"{SAID} {KEY}")),
    "nonsense": (token(ANSWERED), raw(f"data: {{{SAID} {KEY}\n\n".encode())),
    "cut": (token(ANSWERED), cut()),
}


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """All that the three functions log."""
    said = io.StringIO()
    for name in ("chat_stream", "persist", "conversations"):
        for handler in logging.getLogger(name).handlers:
            monkeypatch.setattr(handler, "stream", said)
    return said


@pytest.mark.usefixtures("in_secrets_manager")
def test_no_key_token_prompt_answer_or_title_is_in_a_log_or_an_error(
    chat_system: System, logs: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    chat_system.persisting()
    with (
        OidcProvider() as provider,
        whole_api(
            chat_system,
            OIDC_ISSUER=provider.issuer,
            OIDC_AUDIENCE=provider.audience,
            OPENAI_API_KEY="",
            CHAT_MODEL_KEY_SECRET=NAME,
        ) as url,
    ):
        bearer = provider.token("alice")
        api = Api(url, bearer)
        for steps in SCRIPTS.values():
            chat_system.model.plays(*steps)
            stream = api.say(SAID)
            assert stream.events[0].type == "start"
            assert KEY not in str(stream.events)
            assert SAID not in str(stream.events)
        bad = [
            api.http.post("/api/chat", json={"messages": [user(SAID)], "unexpected": KEY}),
            api.http.post("/api/chat", content=f"{{{SAID}", headers={"content-type": "application/json"}),
            api.http.get(f"/api/conversations/{SAID}"),
            api.http.get("/api/conversations", headers={"authorization": f"Bearer {KEY}"}),
        ]
        listed = api.http.get("/api/conversations").json()["items"]
        one = listed[0]["id"]
        api.http.patch(f"/api/conversations/{one}", json={"title": TITLE})
        bad.append(api.http.patch(f"/api/conversations/{one}", json={"title": TITLE * 100}))
        assert api.http.get(f"/api/conversations/{one}/export").status_code == 200
        assert api.http.delete(f"/api/conversations/{one}").status_code == 204
        chat_system.model.plays(token(ANSWERED), finish(), done())
        with chat_system.wire.fault("dynamodb", broken()), chat_system.wire.fault("sqs", broken()):
            broken_off = chat_system.serve(OPENAI_API_KEY="", CHAT_MODEL_KEY_SECRET=NAME, CHAT_SAVE_S="0.5").say(SAID)
            assert broken_off.last["code"] == "not_saved"
        api.close()

    out, err = capfd.readouterr()
    everything = logs.getvalue() + out + err + "".join(answer.text for answer in bad if answer.status_code >= 400)
    assert everything.count("turn ended") >= len(SCRIPTS)
    assert "the model failed" in everything
    for secret in (KEY, bearer, bearer.split(".")[2], SAID, ANSWERED, TITLE):
        assert not [line for line in everything.splitlines() if secret in line]

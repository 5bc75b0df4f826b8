"""Sign-in: there is no stack without it."""

from pathlib import Path
from typing import Any

import pytest

from infra.sign_in import CALLBACK
from tests.infra.conftest import Stack, synthesised

pytestmark = pytest.mark.xdist_group("stack")  # one worker synthesises for all

CLIENT = "AWS::Cognito::UserPoolClient"


def test_by_default_users_sign_in_at_a_pool_of_the_stack_s_own(stack: Stack) -> None:
    pool = stack.name_of("AWS::Cognito::UserPool", "SignIn")
    client = stack.name_of(CLIENT, "SignIn")
    issuer = {"Fn::Join": ["", ["https://cognito-idp.", {"Ref": "AWS::Region"}, ".amazonaws.com/", {"Ref": pool}]]}
    for function in ("ChatStream", "Conversations"):
        env = stack.environment(function)
        assert env["OIDC_ISSUER"] == issuer
        assert env["OIDC_AUDIENCE"] == env["OIDC_CLIENT_ID"] == {"Ref": client}
        assert env["WORKSPACES_CLAIM"] == "cognito:groups"
        assert env["OIDC_SCOPES"] == "openid profile email"


def test_the_client_is_public_and_takes_the_code_flow_only(stack: Stack) -> None:
    client = stack.one(CLIENT)
    assert "GenerateSecret" not in client
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["AllowedOAuthFlowsUserPoolClient"] is True
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True
    assert client["AccessTokenValidity"] <= 60


def test_nobody_signs_themselves_up_and_passwords_are_long(stack: Stack) -> None:
    pool = stack.one("AWS::Cognito::UserPool")
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert pool["Policies"]["PasswordPolicy"]["MinimumLength"] >= 12
    assert pool["UserPoolTier"] == "ESSENTIALS"


def test_a_second_factor_is_everybody_s_or_nobody_s(stack: Stack) -> None:
    """The login page offers none where none is required, so that "optional" means none."""
    assert stack.one("AWS::Cognito::UserPool")["MfaConfiguration"] != "ON"
    required = synthesised(requireMfa="true").one("AWS::Cognito::UserPool")
    assert (required["MfaConfiguration"], required["EnabledMfas"]) == ("ON", ["SOFTWARE_TOKEN_MFA"])


def test_the_login_is_the_managed_one(stack: Stack) -> None:
    assert stack.one("AWS::Cognito::UserPoolDomain")["ManagedLoginVersion"] == 2
    assert stack.one("AWS::Cognito::ManagedLoginBranding")["UseCognitoProvidedValues"] is True


def test_the_login_returns_to_the_endpoint_and_nowhere_else(stack: Stack) -> None:
    """CloudFront's domain is not known when the client is made, so the client is told afterwards, with all its settings."""
    call = update(stack)
    distribution = stack.name_of("AWS::CloudFront::Distribution", "Edge")
    assert call["action"] == "updateUserPoolClient"
    parameters = dict(call["parameters"])
    assert parameters.pop("CallbackURLs") == [f"https://<{distribution}.DomainName>/signed-in"]
    assert parameters.pop("LogoutURLs") == [f"https://<{distribution}.DomainName>/"]
    assert parameters.pop("ClientId") == f"<{stack.name_of(CLIENT, 'SignIn')}>"
    made = {**stack.one(CLIENT), "UserPoolId": f"<{stack.name_of('AWS::Cognito::UserPool', 'SignIn')}>"}
    assert parameters == {name: value for name, value in made.items() if name not in {"CallbackURLs", "LogoutURLs"}}


def update(stack: Stack) -> Any:
    """The call of the custom resource, whose JSON has references in it."""
    import json

    parts = stack.one("Custom::AWS")["Create"]["Fn::Join"][1]
    flat = [
        part if isinstance(part, str) else f"<{part['Ref']}>" if "Ref" in part else f"<{'.'.join(part['Fn::GetAtt'])}>"
        for part in parts
    ]
    return json.loads("".join(flat))


def test_the_browser_is_told_of_the_page_that_ends_its_session_at_cognito(stack: Stack) -> None:
    """Cognito's own names: `logout_uri` has to be one of the client's, and tokens are revoked at the same domain."""
    domain = {"Ref": stack.name_of("AWS::Cognito::UserPoolDomain", "SignIn")}
    told = ["https://", domain, ".auth.", {"Ref": "AWS::Region"}, ".amazoncognito.com/logout"]
    assert stack.environment("ChatStream")["OIDC_LOGOUT_URL"] == {"Fn::Join": ["", told]}
    (returns,) = update(stack)["parameters"]["LogoutURLs"]
    assert returns.endswith("/")
    assert stack.one(CLIENT)["EnableTokenRevocation"] is True
    policy = str(stack.one("AWS::CloudFront::ResponseHeadersPolicy"))
    assert f"{domain}, '.auth.'" in policy.partition("connect-src")[2].partition("base-uri")[0]


def test_a_provider_of_one_s_own_may_name_its_page_too(full_stack: Stack) -> None:
    assert full_stack.environment("ChatStream")["OIDC_LOGOUT_URL"] == "https://login.example.com/logout"
    without = synthesised(oidcIssuer="https://login.example.com", oidcAudience="chat-api")
    assert "OIDC_LOGOUT_URL" not in without.environment("ChatStream")


def test_with_a_domain_of_one_s_own_the_client_knows_it_from_the_start() -> None:
    stack = synthesised(domainName="chat.example.com", certificateArn="arn:aws:acm:us-east-1:111122223333:certificate/abc")
    assert stack.one(CLIENT)["CallbackURLs"] == ["https://chat.example.com/signed-in"]
    assert stack.one(CLIENT)["LogoutURLs"] == ["https://chat.example.com/"]
    assert stack.of_type("Custom::AWS") == {}


def test_the_login_returns_to_where_the_web_client_waits_for_it() -> None:
    source = (Path(__file__).parents[2] / "web" / "src" / "core" / "storage.ts").read_text(encoding="utf-8")
    assert f'export const CALLBACK = "{CALLBACK}";' in source


def test_a_provider_of_one_s_own_takes_the_pool_s_place(full_stack: Stack) -> None:
    assert not any(one["Type"].startswith("AWS::Cognito") for one in full_stack.resources.values())
    env = full_stack.environment("ChatStream")
    assert (env["OIDC_ISSUER"], env["OIDC_AUDIENCE"]) == ("https://login.example.com/tenant", "chat-api")
    assert (env["OIDC_CLIENT_ID"], env["WORKSPACES_CLAIM"]) == ("chat-web", "workspaces")


def test_the_outputs_name_what_a_person_needs_next(stack: Stack) -> None:
    assert set(stack.template["Outputs"]) == {
        "Endpoint",
        "DistributionDomain",
        "SiteBucket",
        "UserPoolId",
        "ClientId",
        "Issuer",
        "ModelKeySecret",
        "ChatStreamUrl",
        "ConversationsUrl",
        "QueueUrl",
        "DeadLetterQueueUrl",
        "ConversationsTable",
        "TurnsTable",
    }

"""The distribution: what goes where, what it adds and takes away, who may stand behind it."""

from fnmatch import fnmatchcase
from typing import Any

import pytest

from functions.chat_stream.app import create_app
from functions.chat_stream.settings import Settings as ChatSettings
from functions.conversations import routes
from infra.edge_rules import API_METHODS, SITE_METHODS, STREAMED, response_headers
from tests.infra.conftest import Stack, synthesised
from tests.infra.test_stack_functions import plain

pytestmark = pytest.mark.xdist_group("stack")  # one worker synthesises for all

DISTRIBUTION = "AWS::CloudFront::Distribution"
# AWS's managed policies, by their published ids.
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
STREAMING_PATHS = ["/api/chat*", "/api/turns*", "/api/buds", "/api/health", "/api/config"]


def config(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.one(DISTRIBUTION)["DistributionConfig"]
    return found


def behaviours(stack: Stack) -> dict[str, dict[str, Any]]:
    """By path pattern, in the order in which CloudFront tries them."""
    return {one["PathPattern"]: one for one in config(stack)["CacheBehaviors"]}


def origin_of(stack: Stack, behaviour: dict[str, Any]) -> dict[str, Any]:
    (found,) = [one for one in config(stack)["Origins"] if one["Id"] == behaviour["TargetOriginId"]]
    result: dict[str, Any] = found
    return result


def url_behind(stack: Stack, behaviour: dict[str, Any]) -> str:
    domain = str(origin_of(stack, behaviour)["DomainName"])
    (url,) = [name for name in stack.of_type("AWS::Lambda::Url") if name in domain]
    return url


def test_what_streams_goes_to_chat_stream_and_the_rest_of_the_api_to_conversations(stack: Stack) -> None:
    assert list(behaviours(stack)) == [*STREAMING_PATHS, "/api/*"] == [*STREAMED, "/api/*"]
    for path, behaviour in behaviours(stack).items():
        assert url_behind(stack, behaviour).startswith("Conversations" if path == "/api/*" else "ChatStream")


def test_every_route_of_the_streaming_application_is_sent_to_it(stack: Stack) -> None:
    """The application's own list, so that a new route cannot end up at the other function."""

    app = create_app(ChatSettings.from_env(plain(stack.environment("ChatStream"))))
    paths = [route.path.replace("{", "").replace("}", "") for route in app.routes if route.path.startswith("/api/")]  # type: ignore[attr-defined]
    assert paths
    for path in paths:
        first = next(pattern for pattern in behaviours(stack) if fnmatchcase(path, pattern))
        assert first in STREAMED, path


def test_no_route_of_the_conversations_is_taken_for_one_that_streams(stack: Stack) -> None:
    paths = [routes.COLLECTION, routes.ITEM, routes.EXPORT, routes.USAGE, routes.DOCUMENT]
    for path in (path.replace("<", "").replace(">", "") for path in paths):
        assert next(pattern for pattern in behaviours(stack) if fnmatchcase(path, pattern)) == "/api/*", path


def test_the_api_is_neither_cached_nor_compressed_and_gets_all_but_the_host(stack: Stack) -> None:
    for behaviour in behaviours(stack).values():
        assert behaviour["CachePolicyId"] == CACHING_DISABLED
        assert behaviour["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST_HEADER
        assert behaviour["Compress"] is False
        assert {"GET", "POST", "PATCH", "DELETE"} <= set(behaviour["AllowedMethods"])
        assert behaviour["ViewerProtocolPolicy"] == "https-only"


def test_the_edge_waits_60_s_for_a_function(stack: Stack) -> None:
    for behaviour in behaviours(stack).values():
        custom = origin_of(stack, behaviour)["CustomOriginConfig"]
        assert custom["OriginReadTimeout"] == 60
        assert custom["OriginProtocolPolicy"] == "https-only"


def test_every_origin_is_reached_with_a_signature_only(stack: Stack) -> None:
    controls = stack.of_type("AWS::CloudFront::OriginAccessControl")
    kinds = []
    for origin in config(stack)["Origins"]:
        control = controls[origin["OriginAccessControlId"]["Fn::GetAtt"][0]]["Properties"]["OriginAccessControlConfig"]
        assert (control["SigningBehavior"], control["SigningProtocol"]) == ("always", "sigv4")
        kinds.append(control["OriginAccessControlOriginType"])
    assert sorted(kinds) == ["lambda", "lambda", "s3"]


def test_the_api_s_requests_pass_the_function_that_carries_authorization_over(stack: Stack) -> None:
    for behaviour in behaviours(stack).values():
        (association,) = behaviour["FunctionAssociations"]
        assert association["EventType"] == "viewer-request"
        code = stack.resources[association["FunctionARN"]["Fn::GetAtt"][0]]["Properties"]["FunctionCode"]
        assert "x-forwarded-authorization" in code


def test_an_error_of_the_api_is_never_replaced_by_a_page(stack: Stack) -> None:
    assert "CustomErrorResponses" not in config(stack)


def test_the_site_is_for_the_distribution_alone_and_over_tls(stack: Stack) -> None:
    bucket = stack.one("AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    allowed = [one for one in stack.one("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
    (read,) = allowed
    assert read["Action"] == "s3:GetObject"
    assert read["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert stack.name_of(DISTRIBUTION, "Edge") in str(read["Condition"]["StringEquals"]["AWS:SourceArn"])
    denied = [one for one in stack.one("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]
    assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_pages_are_asked_for_again_and_hashed_assets_are_kept(stack: Stack) -> None:
    uploads = {
        str(one["Properties"].get("Include")): one["Properties"] for one in stack.of_type("Custom::CDKBucketDeployment").values()
    }
    assert uploads["None"]["SystemMetadata"] == {"cache-control": "no-cache"}
    assert uploads["['assets/*']"]["SystemMetadata"] == {"cache-control": "public, max-age=31536000, immutable"}


def test_without_a_site_nothing_is_uploaded() -> None:
    assert synthesised(site="false").of_type("Custom::CDKBucketDeployment") == {}


def headers(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.one("AWS::CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]
    return found


def test_every_response_carries_the_security_headers(stack: Stack) -> None:
    policy = {"Ref": stack.name_of("AWS::CloudFront::ResponseHeadersPolicy", "Edge")}
    for behaviour in [config(stack)["DefaultCacheBehavior"], *behaviours(stack).values()]:
        assert behaviour["ResponseHeadersPolicyId"] == policy
    security = headers(stack)["SecurityHeadersConfig"]
    assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 365 * 24 * 3600
    assert security["ContentTypeOptions"] == {"Override": True}
    assert security["FrameOptions"] == {"FrameOption": "DENY", "Override": True}
    assert security["ReferrerPolicy"] == {"ReferrerPolicy": "no-referrer", "Override": True}
    assert all(one["Override"] for one in security.values())


def test_the_local_run_s_strict_front_sets_the_same_headers(stack: Stack, full_stack: Stack) -> None:
    policy = headers(full_stack)
    security = policy["SecurityHeadersConfig"]
    expected = {
        "content-security-policy": security["ContentSecurityPolicy"]["ContentSecurityPolicy"],
        "x-content-type-options": "nosniff",
        "x-frame-options": security["FrameOptions"]["FrameOption"],
        "referrer-policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        "strict-transport-security": f"max-age={security['StrictTransportSecurity']['AccessControlMaxAgeSec']}",
        **{one["Header"]: one["Value"] for one in policy["CustomHeadersConfig"]["Items"]},
    }
    assert response_headers(["https://login.example.com", "https://tokens.example.com"]) == expected


def test_the_distribution_allows_the_methods_that_the_strict_front_allows(stack: Stack) -> None:
    for behaviour in behaviours(stack).values():
        assert set(behaviour["AllowedMethods"]) == API_METHODS
    assert set(config(stack)["DefaultCacheBehavior"].get("AllowedMethods", ["GET", "HEAD"])) == SITE_METHODS


def test_only_the_endpoint_itself_is_bound_to_https(full_stack: Stack) -> None:
    """With an apex domain, its subdomains are hosts that this stack knows nothing of."""
    transport = headers(full_stack)["SecurityHeadersConfig"]["StrictTransportSecurity"]
    assert transport["IncludeSubdomains"] is False
    assert "Preload" not in transport


def test_the_content_security_policy_lets_nothing_run_but_our_own_files(full_stack: Stack) -> None:
    raw = headers(full_stack)["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    policy = {name: sources for name, *sources in (part.split() for part in raw.split(";"))}
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == ["'self'"]
    assert policy["img-src"] == ["'self'", "data:"]
    assert policy["connect-src"] == ["'self'", "https://login.example.com", "https://tokens.example.com"]
    assert policy["base-uri"] == policy["frame-ancestors"] == policy["form-action"] == ["'none'"]
    assert not any("unsafe" in source or source in {"*", "https:"} for sources in policy.values() for source in sources)


def test_the_browser_may_talk_to_cognito_where_cognito_signs_in(stack: Stack) -> None:
    raw = str(headers(stack)["SecurityHeadersConfig"]["ContentSecurityPolicy"])
    assert "https://cognito-idp." in raw
    assert ".amazoncognito.com" in raw


def test_http_3_is_on(stack: Stack) -> None:
    assert config(stack)["HttpVersion"] == "http2and3"


@pytest.mark.parametrize(("given", "found"), [("100", "PriceClass_100"), ("200", "PriceClass_200"), ("All", "PriceClass_All")])
def test_the_price_class_is_the_setting_s(given: str, found: str) -> None:
    assert config(synthesised(priceClass=given))["PriceClass"] == found


def test_a_domain_of_one_s_own_brings_its_certificate_and_new_tls_only(stack: Stack, full_stack: Stack) -> None:
    assert config(full_stack)["Aliases"] == ["chat.example.com"]
    viewer = config(full_stack)["ViewerCertificate"]
    assert viewer["AcmCertificateArn"].endswith("certificate/abc")
    assert viewer["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert "Aliases" not in config(stack)
    assert full_stack.template["Outputs"]["Endpoint"]["Value"] == "https://chat.example.com"


def test_a_rate_per_address_is_enforced_where_one_is_set(stack: Stack, full_stack: Stack) -> None:
    assert stack.of_type("AWS::WAFv2::WebACL") == {}
    acl = full_stack.one("AWS::WAFv2::WebACL")
    (rule,) = acl["Rules"]
    assert acl["Scope"] == "CLOUDFRONT"
    assert rule["Action"] == {"Block": {}}
    assert rule["Statement"]["RateBasedStatement"] == {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": 1000}
    assert config(full_stack)["WebACLId"] == {"Fn::GetAtt": [full_stack.name_of("AWS::WAFv2::WebACL", "Edge"), "Arn"]}


def test_a_web_acl_of_one_s_own_is_used() -> None:
    arn = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/ours/abc"
    assert config(synthesised(webAclArn=arn))["WebACLId"] == arn

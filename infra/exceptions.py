"""Where the stack departs from the AWS Solutions rules, each with the reason. tests/infra holds that there are no others."""

from collections.abc import Mapping
from typing import Final, cast

from aws_cdk import Acknowledgment, Annotations, Aws, CfnElement, DefaultStackSynthesizer, Stack, Token, Validations
from constructs import IConstruct

from infra.config import Config

_PINNED_RUNTIME: Final = "The wheels and the byte code in the zip are made and tested for Python 3.13, which Lambda supports"
_TRACES: Final = "X-Ray has no resources to name: its two write actions, and these alone, are granted on `*`"
_KEYS: Final = "The key of a secret that exists is not named; the conditions name Secrets Manager and the one secret"
_OF_CDK: Final = "CDK's own helper, which runs during a deployment only; its code and role are AWS's"
_HELPERS: Final = ("Custom::CDKBucketDeployment", "AWS679f53fac002430cb0da5b7982bd2287", "Custom::S3AutoDeleteObjects")
_BASIC_ROLE: Final = "arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def acknowledge(stack: Stack, config: Config) -> None:
    """Acknowledges, at the construct concerned, every rule that is left aside."""
    for function in ("ChatStream", "Persist", "Conversations"):
        _at(stack, f"{function}/Function", {"L1": _PINNED_RUNTIME})
        _at(stack, f"{function}/Role", {"IAM5[Resource::*]": _TRACES})
    _at(
        stack,
        "ChatStream/Role",
        {f"IAM5[Resource::arn:<AWS::Partition>:kms:{_shown(stack.region)}:{_shown(stack.account)}:key/*]": _KEYS},
    )
    _at(stack, "ModelKey", {"SMG4": "The key is the provider's: only a person can make a new one there (docs/operations.md)"})
    _at(
        stack,
        "SignIn/Pool",
        {
            "COG2": "requireMfa makes a second factor everybody's; without it there is none, and the login page offers none",
            "COG8": "The Plus plan charges every user for threat detection; the pool's users are made by an administrator",
        },
    )
    _at(stack, "Edge/Site", {"S1": "The site's files are public, and only CloudFront reads them"})
    _at(stack, "Edge/Distribution", _edge(config))
    for helper in _HELPERS:
        for child in stack.node.children:
            if child.node.id.startswith(helper):
                _helper(child, stack)
    # CDK says this of every function with SnapStart; the alias behind the URL names a published version.
    Annotations.of(stack).acknowledge_warning("@aws-cdk/aws-lambda:snapStartRequirePublish", "The URL is the alias's")


def _edge(config: Config) -> Mapping[str, str]:
    left = {
        "CFR1": "Who may use it is decided by sign-in, not by country",
        "CFR3": "The functions log every request by its ids; access logs would keep the addresses of users besides",
    }
    if config.certificate_arn is None:
        left["CFR4"] = "CloudFront's own domain fixes the policy; with domainName it is TLS 1.2 of 2021"
    if config.waf_rate_limit is None and config.web_acl_arn is None:
        left["CFR2"] = "A WAF costs money while nobody chats: wafRateLimit or webAclArn adds one"
    return left


def _helper(helper: IConstruct, stack: Stack) -> None:
    assets = f"cdk-{DefaultStackSynthesizer.DEFAULT_QUALIFIER}-assets-{_shown(stack.account)}-{_shown(stack.region)}"
    left = {"L1": _OF_CDK, f"IAM4[Policy::{_BASIC_ROLE}]": _OF_CDK}
    for action in ("GetObject*", "GetBucket*", "List*", "DeleteObject*", "Abort*"):
        left[f"IAM5[Action::s3:{action}]"] = _OF_CDK
    left[f"IAM5[Resource::arn:<AWS::Partition>:s3:::{assets}/*]"] = _OF_CDK
    left[f"IAM5[Resource::<{_site_id(stack)}.Arn>/*]"] = _OF_CDK
    _acknowledge(helper, left)


def _shown(place: str) -> str:
    """An account or a region as cdk-nag writes it: itself, or the pseudo parameter's name."""
    if not Token.is_unresolved(place):
        return place
    return "<AWS::AccountId>" if place == Aws.ACCOUNT_ID else "<AWS::Region>"


def _site_id(stack: Stack) -> str:
    bucket = stack.node.find_child("Edge").node.find_child("Site").node.default_child
    return stack.get_logical_id(cast("CfnElement", bucket))


def _at(stack: Stack, path: str, left: Mapping[str, str]) -> None:
    construct: IConstruct | None = stack
    for part in path.split("/"):
        construct = construct.node.try_find_child(part) if construct else None
    if construct is not None:
        _acknowledge(construct, left)


def _acknowledge(construct: IConstruct, left: Mapping[str, str]) -> None:
    Validations.of(construct).acknowledge(
        *(Acknowledgment(id=f"AwsSolutions-{rule}", reason=reason) for rule, reason in left.items())
    )

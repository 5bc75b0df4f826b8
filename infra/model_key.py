"""The secret that holds the provider's key: imported by name, or made empty, to be filled by one command after the deployment."""

from typing import cast

from aws_cdk import RemovalPolicy
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct


def model_key(scope: Construct, *, imported: str | None, ephemeral: bool) -> secretsmanager.ISecret:
    """The stack's secret has no value until `aws secretsmanager put-secret-value` gives it one."""
    if imported is not None:
        return secretsmanager.Secret.from_secret_name_v2(scope, "ModelKey", imported)
    secret = secretsmanager.Secret(
        scope,
        "ModelKey",
        description="The model provider's API key, as plain text",
        removal_policy=RemovalPolicy.DESTROY if ephemeral else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    )
    resource = cast("secretsmanager.CfnSecret", secret.node.default_child)
    resource.generate_secret_string = None  # CDK would have one made up, and the provider would be sent it
    return secret

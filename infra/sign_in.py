"""Sign-in: a provider of one's own, or a Cognito user pool with its managed login and a public client (code flow with PKCE)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aws_cdk import Aws, CfnResource, RemovalPolicy, custom_resources
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import Config

SCOPES: Final = ("openid", "profile", "email")
CALLBACK: Final = "/signed-in"  # the web client's own (web/src/core/storage.ts)
# The web client, as both CloudFormation and the API name its settings. Public: no secret, so only PKCE proves who asks.
_CLIENT: Final[dict[str, Any]] = {
    "AllowedOAuthFlowsUserPoolClient": True,
    "AllowedOAuthFlows": ["code"],
    "AllowedOAuthScopes": list(SCOPES),
    "SupportedIdentityProviders": ["COGNITO"],
    # The first for an administrator's own checks (`make smoke`): it takes AWS credentials besides the password.
    "ExplicitAuthFlows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    "PreventUserExistenceErrors": "ENABLED",
    "EnableTokenRevocation": True,
    "AccessTokenValidity": 60,
    "IdTokenValidity": 60,
    "RefreshTokenValidity": 30,
    "TokenValidityUnits": {"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"},
}


@dataclass(frozen=True, slots=True)
class Provider:
    """Who signs the tokens, as functions and browser need to know it. `origins` is where the browser goes to sign in;
    `logout_url` ends its session there where OpenID Connect's own way does not.
    """

    issuer: str
    audience: str
    client_id: str
    workspaces_claim: str
    origins: tuple[str, ...]
    logout_url: str | None = None

    def environment(self) -> Mapping[str, str]:
        return {
            "OIDC_ISSUER": self.issuer,
            "OIDC_AUDIENCE": self.audience,
            "OIDC_CLIENT_ID": self.client_id,
            "OIDC_SCOPES": " ".join(SCOPES),
            "WORKSPACES_CLAIM": self.workspaces_claim,
            **({"OIDC_LOGOUT_URL": self.logout_url} if self.logout_url else {}),
        }


def own_provider(config: Config) -> Provider:
    """The provider that the context names."""
    issuer, audience = config.oidc_issuer or "", config.oidc_audience or ""
    origins = (f"https://{urlsplit(issuer).netloc}", *config.sign_in_origins)
    return Provider(
        issuer=issuer,
        audience=audience,
        client_id=config.oidc_client_id or audience,
        workspaces_claim=config.workspaces_claim or "workspaces",
        origins=origins,
        logout_url=config.oidc_logout_url,
    )


class UserPool(Construct):
    """A user pool whose users are made by an administrator. A user's groups are the workspaces."""

    def __init__(self, scope: Construct, construct_id: str, *, config: Config) -> None:
        super().__init__(scope, construct_id)
        self.pool = (
            cognito.UserPool.from_user_pool_id(self, "ExistingPool", config.user_pool_id)
            if config.user_pool_id
            else self._made(config)
        )
        # The prefix is a name in a whole region: the account and the stage make it this stack's own.
        domain = self.pool.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(domain_prefix=f"{config.stack_name}-{Aws.ACCOUNT_ID}"),
            managed_login_version=cognito.ManagedLoginVersion.NEWER_MANAGED_LOGIN,
        )
        self._knows_endpoint = config.domain_name is not None
        self.client = self._client(f"https://{config.domain_name}" if config.domain_name else "http://localhost:8000")
        cognito.CfnManagedLoginBranding(
            self,
            "Branding",
            user_pool_id=self.pool.user_pool_id,
            client_id=self.client.ref,
            use_cognito_provided_values=True,
        )
        self.provider = Provider(
            issuer=f"https://cognito-idp.{Aws.REGION}.amazonaws.com/{self.pool.user_pool_id}",
            audience=self.client.ref,
            client_id=self.client.ref,
            workspaces_claim=config.workspaces_claim or "cognito:groups",
            origins=(f"https://cognito-idp.{Aws.REGION}.amazonaws.com", domain.base_url(), *config.sign_in_origins),
            logout_url=f"{domain.base_url()}/logout",
        )

    def _made(self, config: Config) -> cognito.IUserPool:
        return cognito.UserPool(
            self,
            "Pool",
            feature_plan=cognito.FeaturePlan.ESSENTIALS,  # the least that has the managed login
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            sign_in_case_sensitive=False,
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_digits=True, require_lowercase=True, require_symbols=True, require_uppercase=True
            ),
            mfa=cognito.Mfa.REQUIRED if config.require_mfa else cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            deletion_protection=not config.ephemeral,
            removal_policy=RemovalPolicy.DESTROY if config.ephemeral else RemovalPolicy.RETAIN,
        )

    def _client(self, endpoint: str) -> CfnResource:
        properties = {**_CLIENT, "UserPoolId": self.pool.user_pool_id, **_returns(endpoint)}
        return CfnResource(self, "Client", type="AWS::Cognito::UserPoolClient", properties=properties)

    def return_to(self, endpoint: str, helper_logs: logs.ILogGroup) -> None:
        """Lets the login send users back to `endpoint`; nothing to do when the context named the domain.

        CloudFront's own domain is known only once the functions are there, which must know the client's id before: so the client
        is told afterwards. UpdateUserPoolClient replaces every setting, so all are given.
        """
        if self._knows_endpoint:
            return
        call = custom_resources.AwsSdkCall(
            service="CognitoIdentityServiceProvider",
            action="updateUserPoolClient",
            parameters={**_CLIENT, "UserPoolId": self.pool.user_pool_id, "ClientId": self.client.ref, **_returns(endpoint)},
            physical_resource_id=custom_resources.PhysicalResourceId.of("callbacks"),
            output_paths=["UserPoolClient.ClientId"],
        )
        custom_resources.AwsCustomResource(
            self,
            "Callbacks",
            on_create=call,
            on_update=call,
            install_latest_aws_sdk=False,
            log_group=helper_logs,
            policy=custom_resources.AwsCustomResourcePolicy.from_statements(
                [iam.PolicyStatement(actions=["cognito-idp:UpdateUserPoolClient"], resources=[self.pool.user_pool_arn])]
            ),
        )


def _returns(endpoint: str) -> dict[str, list[str]]:
    """Where the login may send a user back to."""
    return {"CallbackURLs": [f"{endpoint}{CALLBACK}"], "LogoutURLs": [f"{endpoint}/"]}

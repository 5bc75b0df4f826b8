"""The edge: one CloudFront distribution in front of both function URLs and the site, the only way to either."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from aws_cdk import CfnResource, Duration, RemovalPolicy, Stack
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as s3_deployment
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from infra.config import Config
from infra.edge_rules import API, CUSTOM_HEADERS, HSTS_S, READ_TIMEOUT_S, STREAMED, content_security_policy

HERE: Final = Path(__file__).parent
WEB_CLIENT: Final = HERE.parent / "web" / "dist"
PLACEHOLDER: Final = HERE / "placeholder"
_PRICE_CLASSES: Final = {
    "100": cloudfront.PriceClass.PRICE_CLASS_100,
    "200": cloudfront.PriceClass.PRICE_CLASS_200,
    "All": cloudfront.PriceClass.PRICE_CLASS_ALL,
}


class Edge(Construct):
    """The distribution and the site's bucket. `endpoint` is where everything is reached, without a slash at its end."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        chat_stream: lambda_.IFunctionUrl,
        conversations: lambda_.IFunctionUrl,
        sign_in_origins: Sequence[str],
        helper_logs: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        # CloudFront's names are one list for the whole account: the region keeps the same stage of another region apart.
        self._name = f"{config.stack_name}-{Stack.of(self).region}"
        self._headers = self._security_headers(sign_in_origins)
        self.bucket = self._bucket(config)
        carry = self._edge_function("CarryAuthorization", "carry_authorization.js")
        chat_stream_api = self._api(self._signed_origin("ChatStreamAccess", chat_stream), carry)
        conversations_api = self._api(self._signed_origin("ConversationsAccess", conversations), carry)
        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=self._name,
            default_behavior=self._site(),
            additional_behaviors={**dict.fromkeys(STREAMED, chat_stream_api), API: conversations_api},
            default_root_object="index.html",
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021 if config.certificate_arn else None,
            price_class=_PRICE_CLASSES[config.price_class],
            domain_names=[config.domain_name] if config.domain_name else None,
            certificate=self._certificate(config),
            web_acl_id=self._web_acl(config),
        )
        self.endpoint = f"https://{config.domain_name or self.distribution.distribution_domain_name}"
        if config.ephemeral:
            self._log_emptying(helper_logs)
        if config.site:
            self._upload(helper_logs)

    def _api(self, origin: cloudfront.IOrigin, carry: cloudfront.IFunction) -> cloudfront.BehaviorOptions:
        return cloudfront.BehaviorOptions(
            origin=origin,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            # Host must be the function URL's own: it is part of what is signed.
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            compress=False,  # compressing collects bytes, and a stream must not wait
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,  # a redirect would come after a token in the clear
            response_headers_policy=self._headers,
            function_associations=[_on_request(carry)],
        )

    def _site(self) -> cloudfront.BehaviorOptions:
        return cloudfront.BehaviorOptions(
            origin=origins.S3BucketOrigin.with_origin_access_control(
                self.bucket,
                origin_access_control=cloudfront.S3OriginAccessControl(
                    self, "SiteAccess", origin_access_control_name=f"{self._name}-site"
                ),
            ),
            cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
            compress=True,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            response_headers_policy=self._headers,
            function_associations=[_on_request(self._edge_function("OnePage", "one_page.js"))],
        )

    def _bucket(self, config: Config) -> s3.Bucket:
        return s3.Bucket(
            self,
            "Site",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.DESTROY if config.ephemeral else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            auto_delete_objects=config.ephemeral,
        )

    def _log_emptying(self, helper_logs: logs.ILogGroup) -> None:
        """What empties the bucket logs where the stack's other helpers do: in a group of its own it would outlive the stack.

        CDK has no parameter for it; the helper is one for the whole stack, below a name that CDK fixes.
        """
        helper = Stack.of(self).node.find_child("Custom::S3AutoDeleteObjectsCustomResourceProvider")
        handler = cast("CfnResource", helper.node.find_child("Handler"))
        handler.add_property_override("LoggingConfig", {"LogGroup": helper_logs.log_group_name})

    def _upload(self, helper_logs: logs.ILogGroup) -> None:
        """The web client if it is built, else a page that says so. What carries a hash in its name is kept for ever."""
        source = WEB_CLIENT if (WEB_CLIENT / "index.html").is_file() else PLACEHOLDER
        hashed = s3_deployment.BucketDeployment(
            self,
            "Assets",
            destination_bucket=self.bucket,
            sources=[s3_deployment.Source.asset(str(source))],
            exclude=["*"],
            include=["assets/*"],
            prune=False,  # pages that are open still ask for the assets of their own version
            cache_control=[s3_deployment.CacheControl.from_string("public, max-age=31536000, immutable")],
            log_group=helper_logs,
        )
        pages = s3_deployment.BucketDeployment(
            self,
            "Pages",
            destination_bucket=self.bucket,
            sources=[s3_deployment.Source.asset(str(source))],
            exclude=["assets/*"],
            prune=False,
            cache_control=[s3_deployment.CacheControl.from_string("no-cache")],
            log_group=helper_logs,
        )
        pages.node.add_dependency(hashed)
        # Last, so that a first deployment that fails finds the bucket empty and takes it away again.
        hashed.node.add_dependency(self.distribution)

    def _security_headers(self, sign_in_origins: Sequence[str]) -> cloudfront.ResponseHeadersPolicy:
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            response_headers_policy_name=self._name,
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=content_security_policy(sign_in_origins), override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    # Not for subdomains: with an apex domain they are hosts that this stack knows nothing of.
                    access_control_max_age=Duration.seconds(HSTS_S),
                    include_subdomains=False,
                    override=True,
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(header=name, value=value, override=True)
                    for name, value in CUSTOM_HEADERS.items()
                ]
            ),
        )

    def _signed_origin(self, construct_id: str, url: lambda_.IFunctionUrl) -> cloudfront.IOrigin:
        control = cloudfront.FunctionUrlOriginAccessControl(
            self, construct_id, origin_access_control_name=f"{self._name}-{construct_id.removesuffix('Access').lower()}"
        )
        return origins.FunctionUrlOrigin.with_origin_access_control(
            url, origin_access_control=control, read_timeout=Duration.seconds(READ_TIMEOUT_S)
        )

    def _edge_function(self, construct_id: str, file: str) -> cloudfront.Function:
        return cloudfront.Function(
            self,
            construct_id,
            function_name=f"{self._name}-{file.removesuffix('.js')}",
            code=cloudfront.FunctionCode.from_file(file_path=str(HERE / "edge_functions" / file)),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
        )

    def _certificate(self, config: Config) -> acm.ICertificate | None:
        arn = config.certificate_arn
        return acm.Certificate.from_certificate_arn(self, "Certificate", arn) if arn else None

    def _web_acl(self, config: Config) -> str | None:
        if config.waf_rate_limit is None:
            return config.web_acl_arn
        visible = {"cloud_watch_metrics_enabled": True, "sampled_requests_enabled": True}
        acl = wafv2.CfnWebACL(
            self,
            "WebAcl",
            scope="CLOUDFRONT",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow=wafv2.CfnWebACL.AllowActionProperty()),
            visibility_config=wafv2.CfnWebACL.VisibilityConfigProperty(metric_name="all", **visible),
            rules=[
                wafv2.CfnWebACL.RuleProperty(
                    name="rate-per-address",
                    priority=0,
                    action=wafv2.CfnWebACL.RuleActionProperty(block=wafv2.CfnWebACL.BlockActionProperty()),
                    statement=wafv2.CfnWebACL.StatementProperty(
                        rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                            aggregate_key_type="IP", limit=config.waf_rate_limit, evaluation_window_sec=300
                        )
                    ),
                    visibility_config=wafv2.CfnWebACL.VisibilityConfigProperty(metric_name="rate-per-address", **visible),
                )
            ],
        )
        return acl.attr_arn


def _on_request(function: cloudfront.IFunction) -> cloudfront.FunctionAssociation:
    return cloudfront.FunctionAssociation(function=function, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST)

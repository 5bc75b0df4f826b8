"""What botocore knows for a call to AWS: the region, where a service is, the credentials.

Of botocore only these parts are loaded. Its clients would take as long again to make, and a call through one costs 1 ms of CPU,
against 0.12 ms on the loop (docs/performance.md).
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from functions.common.signing import Signer
from functions.common.storage_faults import StorageFault
from functions.common.trust import BUNDLES

if TYPE_CHECKING:
    import botocore.session
    from botocore.credentials import Credentials

# Seconds before their end: botocore renews credentials from the first on, and does without them no longer than to the second.
_RENEWED_FROM_S: Final = 15 * 60
_RENEWED_BY_S: Final = 10 * 60
_TRY_EACH_S: Final = 30.0  # to renew credentials that are good for some minutes more
_SERVICES: Final = ("dynamodb", "sqs", "secretsmanager")


class NotReady(Exception):
    """AWS cannot be called: no region is set, there are no credentials, or they could not be renewed (the cause says why)."""

    fault: ClassVar[StorageFault | None] = None


class NoRegion(NotReady):
    fault = StorageFault.NO_REGION


class NoCredentials(NotReady):
    fault = StorageFault.NO_CREDENTIALS


def core_session() -> "botocore.session.Session":
    """botocore's session, which takes the region from AWS_REGION, too: every other SDK of AWS does, and the AWS CLI.

    Where several are set, AWS_REGION counts before AWS_DEFAULT_REGION, and that before the profile's region, as for the CLI. A
    variable that is empty is not set.
    """
    import botocore.session
    from botocore.configprovider import ConfigChainFactory

    core = botocore.session.Session()
    chains = ConfigChainFactory(core)
    region = (
        chains.create_config_chain(env_var_names="AWS_REGION").provide()
        or chains.create_config_chain(env_var_names="AWS_DEFAULT_REGION").provide()
        or chains.create_config_chain(config_property_names="region").provide()
    )
    if region:
        core.set_config_variable("region", region)
    return core


def ca_bundle_of(core: "botocore.session.Session") -> str | None:
    """The certificates to trust in place of the machine's: AWS_CA_BUNDLE or the profile's, else what all connections trust."""
    from botocore.configprovider import ConfigChainFactory

    chains = ConfigChainFactory(core)
    named = (chains.create_config_chain(env_var_names=name).provide() for name in BUNDLES)
    return core.get_config_variable("ca_bundle") or next(filter(None, named), None)


class Session:
    """Made on first use, in a thread: `prepare` imports and reads files, `renew` may ask Lambda's credentials endpoint."""

    def __init__(self) -> None:
        self.prepared = False
        self.ca_bundle: str | None = None
        self._core: Any = None
        self._to_credentials: Any = None
        self._credentials: Credentials | None = None
        self._frozen: Any = None  # what is signed with: to ask botocore for them may renew them, for seconds
        self._tried_at = -_TRY_EACH_S
        self._region: str | None = None
        self._endpoints: dict[str, str] = {}
        self._signers: dict[str, Signer] = {}

    def prepare(self) -> None:
        """Imports botocore. Opens no connection, and looks for no credentials: they may not lie in a snapshot."""
        if self.prepared:
            return
        self._core = core_session()
        self._own_way_to_credentials()
        self._region = self._core.get_config_variable("region")
        self.ca_bundle = ca_bundle_of(self._core)
        for service in _SERVICES if self._region else ():
            self.endpoint(service)  # the first reads a file of 1 MB
        self.prepared = True

    def drop_connections(self) -> None:
        """Closes the connection to the credentials endpoint; it opens again when next used."""
        if self._to_credentials is not None:
            self._to_credentials.close()

    @property
    def should_renew(self) -> bool:
        """Whether it is time for `renew`, if nobody is at it."""
        return time.monotonic() - self._tried_at >= _TRY_EACH_S and self._end_within(_RENEWED_FROM_S)

    @property
    def must_renew(self) -> bool:
        """Whether no call can be signed before a `renew`."""
        return self._end_within(_RENEWED_BY_S)

    def renew(self) -> None:
        """Finds the credentials, or has them renewed where they end soon. Raises NotReady."""
        self._tried_at = time.monotonic()
        try:
            if self._credentials is None:
                self._credentials = self._core.get_credentials()
            found = self._credentials.get_frozen_credentials() if self._credentials else None
        except Exception as error:  # a source of credentials raises what it likes: BotoCoreError, ClientError, OSError, …
            raise NotReady from error
        if found is None or not self._region:
            raise NoCredentials if self._region else NoRegion
        self._frozen = found

    def endpoint(self, service: str) -> str:
        """The service's base URL, as botocore's clients find it: configured (AWS_ENDPOINT_URL…), or the region's own."""
        if service not in self._endpoints:
            from botocore.configprovider import ConfiguredEndpointProvider
            from botocore.regions import EndpointResolver

            core = self._core
            given = ConfiguredEndpointProvider(core.full_config, core.get_scoped_config(), service).provide()
            if not given:
                known: Any = EndpointResolver(core.get_data("endpoints")).construct_endpoint(
                    service,
                    self._region,
                    use_dualstack_endpoint=core.get_config_variable("use_dualstack_endpoint"),
                    use_fips_endpoint=core.get_config_variable("use_fips_endpoint"),
                )
                given = f"https://{known['hostname']}"
            self._endpoints[service] = given.rstrip("/") + "/"
        return self._endpoints[service]

    def signed(self, service: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The head of a POST to the service's root with these headers, their names in lower case, signed (SigV4)."""
        if (signer := self._signers.get(service)) is None:
            signer = self._signers[service] = Signer(service, self._region or "", self.endpoint(service))
        return signer.head(self._frozen, headers, body)

    def _end_within(self, seconds: int) -> bool:
        from botocore.credentials import RefreshableCredentials

        if self._frozen is None:
            return True
        credentials = self._credentials
        return isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed(refresh_in=seconds)

    def _own_way_to_credentials(self) -> None:
        """What botocore would make itself, with a connection that is ours to close.

        One that crosses a snapshot can make the first call of a restored instance wait for a time-out.
        """
        from botocore.credentials import ContainerProvider
        from botocore.httpsession import URLLib3Session
        from botocore.utils import ContainerMetadataFetcher

        self._to_credentials = URLLib3Session(timeout=ContainerMetadataFetcher.TIMEOUT_SECONDS)
        fetcher: Any = ContainerMetadataFetcher(session=self._to_credentials)
        chain = self._core.get_component("credential_provider")
        chain.insert_before(ContainerProvider.METHOD, ContainerProvider(fetcher=fetcher))

"""The CDK app: `cdk synth`, `cdk deploy`. It packages the functions itself; it needs neither Docker nor credentials."""

import os
import sys
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk.cloud_assembly_schema import Manifest

from infra.config import Config, ConfigError
from infra.edge import WEB_CLIENT
from infra.package.build import build
from infra.package.recipe import PYTHON, RECIPES, Arch
from infra.package.uv import PackagingError
from infra.stack import ChatStack


def main(env: Mapping[str, str]) -> None:
    """Synthesises the stack; exits with a sentence when the context is not right or packaging does not work."""
    if complaint := too_old(env):
        sys.exit(f"infra: {complaint}")
    app = cdk.App()
    try:
        config = Config.from_context(app.node.get_all_context())
        code = packages("x86_64" if config.architecture == "x86_64" else "arm64")
    except (ConfigError, PackagingError) as error:
        sys.exit(f"infra: {error}")
    if config.site and not (WEB_CLIENT / "index.html").is_file():
        print("warning: the web client is not built, so a page that says so is deployed: make web-build", file=sys.stderr)  # noqa: T201
    place = cdk.Environment(account=env.get("CDK_DEFAULT_ACCOUNT"), region=config.region) if config.region else None
    ChatStack(app, config.stack_name, config=config, code=code, env=place, description="streaming-first chat")
    app.synth()


def too_old(env: Mapping[str, str]) -> str | None:
    """What to say to a CDK command line that cannot read what this library writes; None when it can.

    `npx cdk` without more fetches npm's `latest`, which is of another, older line. It would say "upgrade to the latest version".
    """
    understands, writes = env.get("CDK_CLI_ASM_VERSION", ""), Manifest.version()
    if not understands or int(understands.partition(".")[0]) >= int(writes.partition(".")[0]):
        return None
    return (
        f"this CDK command line is {env.get('CDK_CLI_VERSION', 'too old')}, and cannot deploy what the pinned library makes. "
        "`make synth` fetches the one that can: infra/node_modules/.bin/cdk (or `make deploy`, which uses it)."
    )


def packages(arch: Arch) -> Mapping[str, lambda_.Code]:
    """Each function's zip. Its hash is its content's, so what did not change is not deployed again."""
    built = [build(function, arch) for function in RECIPES]
    if not all(package.compiled for package in built):
        print(f"warning: no Python {PYTHON} here, so the functions carry no byte code: cold starts take longer", file=sys.stderr)  # noqa: T201
    return {
        package.function: lambda_.Code.from_asset(
            str(package.zip), asset_hash=package.digest, asset_hash_type=cdk.AssetHashType.CUSTOM
        )
        for package in built
    }


if __name__ == "__main__":
    main(os.environ)

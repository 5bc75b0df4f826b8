"""The real app, synthesised and deployed by the real CDK CLI, less the few resources that MiniStack has none of."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.config import Config
from infra.package import uv
from tests.rehearsal.ministack import ACCOUNT, REGION, RehearsalFailed, environment
from tests.support.function.tools import ARCH

_CDK: Final = uv.ROOT / "infra" / "node_modules" / ".bin" / "cdk"
_STAGE: Final = "rehearsal"
STACK: Final = Config(stage=_STAGE).stack_name
AUDIENCE: Final = "chat-client"
_SECRET_NAME: Final = "ModelKeySecret"
# The pool's managed login is unknown to MiniStack, and so is the upload of the site: both are left out by the app's own settings.
_CONTEXT: Final = {
    "stage": _STAGE,
    "region": REGION,
    "architecture": ARCH,
    "site": "false",
    "oidcIssuer": "https://issuer.invalid",
    "oidcAudience": AUDIENCE,
}


def deploy(endpoint: str, folder: Path) -> tuple[Mapping[str, str], list[str]]:
    """Bootstraps, synthesises, deploys. The stack's outputs, and the resources left out, each with the reason."""
    env = environment(endpoint)
    _cdk(env, "bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", "")
    assembly = folder / "cdk.out"
    _cdk(env, "synth", "--quiet", "--output", assembly, *(part for item in _CONTEXT.items() for part in ("-c", "=".join(item))))
    left_out = _leave_out(assembly / f"{STACK}.template.json")
    told = folder / "outputs.json"
    _cdk(env, "deploy", "--app", assembly, "--require-approval", "never", "--outputs-file", told)
    outputs: Mapping[str, str] = json.loads(told.read_text())[STACK]
    return outputs, left_out


def _leave_out(template: Path) -> list[str]:
    """Takes from the template what MiniStack has none of; names it."""
    document = json.loads(template.read_text())
    resources: dict[str, Any] = document["Resources"]
    alarms = [name for name, resource in resources.items() if _has_metric_math(resource)]
    for name in alarms:
        del resources[name]
    if any(json.dumps(name) in json.dumps(resources) for name in alarms):
        raise RehearsalFailed("an alarm that MiniStack cannot make is referred to by a resource that it can")
    del document["Outputs"][_SECRET_NAME]
    template.write_text(json.dumps(document))
    return [*(f"the alarm {name}: metric math" for name in alarms), f"the output {_SECRET_NAME}: a secret's Ref is no ARN there"]


def _has_metric_math(resource: Mapping[str, Any]) -> bool:
    return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]


def _cdk(env: Mapping[str, str], *arguments: object) -> None:
    if not _CDK.exists():
        raise RehearsalFailed("the CDK CLI is not here: run `make rehearse`, which installs it")
    done = subprocess.run([_CDK, *map(str, arguments)], cwd=uv.ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RehearsalFailed(f"cdk {arguments[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")

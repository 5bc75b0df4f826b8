"""The access rule: which workspaces a caller may touch."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token's `sub`, and the workspaces its claim names. `None` means every workspace (authentication is off)."""

    user_id: str
    claimed: frozenset[str] | None

    @property
    def personal_workspace(self) -> str:
        return self.user_id

    @property
    def workspaces(self) -> tuple[str, ...] | None:
        """All the caller may touch, personal one included, sorted; None for every one."""
        return None if self.claimed is None else tuple(sorted(self.claimed | {self.user_id}))

    def may_touch(self, workspace_id: str) -> bool:
        return self.claimed is None or workspace_id == self.user_id or workspace_id in self.claimed


LOCAL_CALLER: Final = Caller("local", None)

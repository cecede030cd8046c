"""Model packages that fail their validation, on demand: on AWS that takes a container or an image scan that fails."""

from __future__ import annotations

from typing import Any

from include.sagemaker_local.state.store import Store

_KIND, _NAME = "switch", "packages"
Body = dict[str, Any]


class PackageValidation:
    """The switch behind `/_local/packages`: `{"fail": {"<group>": "<reason>"}}`.

    Versions registered from then on in such a group are Failed, with the reason. Kept with the rest of the state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def settings(self) -> Body:
        """The switch as it is."""
        return self._store.get(_KIND, _NAME) or {"fail": {}}

    def change(self, settings: Body) -> Body:
        """Replace it. Raises ValueError that says what is wrong."""
        fail = settings.get("fail")
        if set(settings) != {"fail"} or not isinstance(fail, dict):
            raise ValueError(f'{settings!r}: it must be like {{"fail": {{"<model package group>": "<reason>"}}}}')
        if wrong := [group for group, reason in fail.items() if not isinstance(reason, str) or not reason]:
            raise ValueError(f"fail.{wrong[0]} is {fail[wrong[0]]!r}; it must be the reason, a text")
        self._store.put(_KIND, _NAME, settings)
        return settings

    def outcome(self, group: str) -> Body:
        """`{ModelPackageStatus, ModelPackageStatusDetails}` of a version that is registered now."""
        findings = []
        if reason := self.settings["fail"].get(group):
            findings = [{"Name": "validation", "Status": "Failed", "FailureReason": reason}]
        return {
            "ModelPackageStatus": "Failed" if findings else "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": findings, "ImageScanStatuses": []},
        }

"""Model packages that fail their validation, on demand: on AWS that takes a container or an image scan that fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from include.sagemaker_local.state.store import Store

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import ModelPackageStatusType
    from mypy_boto3_sagemaker.type_defs import ModelPackageStatusDetailsTypeDef, ModelPackageStatusItemTypeDef

_KIND, _NAME = "switch", "packages"


class PackageSettings(TypedDict):
    """What `/_local/packages` answers and takes."""

    fail: dict[str, str]
    """By model package group: the reason why versions that are registered in it from now on are Failed."""


class PackageOutcome(TypedDict):
    """The members of a version's description that its validation decides."""

    ModelPackageStatus: ModelPackageStatusType
    ModelPackageStatusDetails: ModelPackageStatusDetailsTypeDef


class PackageValidation:
    """The switch behind `/_local/packages`, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def settings(self) -> PackageSettings:
        """The switch as it is."""
        settings: PackageSettings | None = self._store.get(_KIND, _NAME)
        return settings or {"fail": {}}

    def change(self, settings: Mapping[str, object]) -> PackageSettings:
        """Replace it. Raises ValueError that says what is wrong."""
        fail = settings.get("fail")
        if set(settings) != {"fail"} or not isinstance(fail, dict):
            raise ValueError(f'{settings!r}: it must be like {{"fail": {{"<model package group>": "<reason>"}}}}')
        if wrong := [group for group, reason in fail.items() if not isinstance(reason, str) or not reason]:
            raise ValueError(f"fail.{wrong[0]} is {fail[wrong[0]]!r}; it must be the reason, a text")
        self._store.put(_KIND, _NAME, settings)
        return self.settings

    def outcome(self, group: str) -> PackageOutcome:
        """What the validation of a version ends with that is registered now."""
        findings: list[ModelPackageStatusItemTypeDef] = []
        if reason := self.settings["fail"].get(group):
            findings = [{"Name": "validation", "Status": "Failed", "FailureReason": reason}]
        return {
            "ModelPackageStatus": "Failed" if findings else "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": findings, "ImageScanStatuses": []},
        }

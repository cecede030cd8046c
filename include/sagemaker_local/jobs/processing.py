"""A processing job: inputs from S3, the script as a process of its own, outputs to S3."""

from __future__ import annotations

import time
from pathlib import Path

from botocore.exceptions import ClientError

from include.sagemaker_local.containers import isolation
from include.sagemaker_local.containers.transfers import (
    JobError,
    NoObjectsError,
    download,
    encryption,
    objects_of,
    upload_folder,
)
from include.sagemaker_local.jobs.execution import Cause, Execution
from include.sagemaker_local.jobs.job import ProcessingJob
from include.sagemaker_local.jobs.record import PROCESSING, mark_stopping
from include.sagemaker_local.jobs.sync import FolderSync

MESSAGE = f"{isolation.ML}/output/message"
_CONFIG_MEMBERS = (
    "ProcessingJobArn",
    "ProcessingJobName",
    "AppSpecification",
    "Environment",
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "RoleArn",
    "StoppingCondition",
)


class ProcessingExecution(Execution[ProcessingJob]):
    """Runs one processing job."""

    kind = PROCESSING
    log_group = "/aws/sagemaker/ProcessingJobs"

    def run(self) -> None:
        """Inputs, script, outputs; the outputs are uploaded after a failure and a stop too."""
        if self.take_turn() is not Cause.WAITED:
            self.record.end("Stopped", "Stopped", "")
            return
        self.fresh_instance()
        started = time.time()
        self.job = self.record.change(lambda body: body.update({"ProcessingStartTime": started}))
        self._download_inputs()
        self._configure()
        uploads = self._prepare_outputs()
        if (early := self.wait({Cause.WAITED: 0.0})) is not Cause.WAITED:
            self._conclude(early, None)
            return
        app = self.job["AppSpecification"]
        command = [*app["ContainerEntrypoint"], *app.get("ContainerArguments", ())]
        container = self.start_container(command, self.job.get("Environment", {}))
        for sync in uploads:
            sync.start(container.pid)
        cause = self.wait(
            {Cause.MAX_RUNTIME: started + self.job["StoppingCondition"]["MaxRuntimeInSeconds"]},
            lambda: Cause.EXITED if container.exit_code is not None else None,
        )
        if cause is Cause.MAX_RUNTIME:
            self.record.change(lambda body: mark_stopping(PROCESSING, body))
        self.end_container(container)
        for sync in uploads:
            sync.finish()
        self._upload_outputs()
        self._conclude(cause, container.exit_code)

    def _conclude(self, cause: Cause, exit_code: int | None) -> None:
        message = _exit_message(self.local_path(MESSAGE))
        if cause is not Cause.EXITED:
            self.record.end("Stopped", "Stopped", "", **message)
        elif exit_code == 0:
            self.record.end("Completed", "Completed", "", **message)
        else:
            reason = "See job logs for more information" if message else f", exit code: {exit_code}"
            reason = f"AlgorithmError: {reason}"
            self.record.end("Failed", "Failed", "", FailureReason=reason, **message)

    def _download_inputs(self) -> None:
        for item in self.job.get("ProcessingInputs", ()):
            source = item.get("S3Input")
            if source is None or item.get("AppManaged"):
                continue
            if not {"LocalPath", "S3InputMode"} <= set(source):
                raise JobError(_incomplete(item["InputName"]))
            folder = self.local_path(source["LocalPath"])
            folder.mkdir(parents=True, exist_ok=True)
            try:
                fetches = objects_of(self.s3, source["S3DataType"], source["S3Uri"])
                download(self.s3, fetches, folder, gzipped=source.get("S3CompressionType") == "Gzip")
            except NoObjectsError as error:
                raise JobError(self._no_data(error.url)) from error
            isolation.localise_files(self.mode, self.directory, folder)

    def _no_data(self, url: str) -> str:
        return (
            f'ClientError: Failed to download data. No S3 objects found under S3 URL "{url}" given in input data '
            f"source. Please ensure that the bucket exists in the selected region ({self.ctx.settings.region}), that "
            f'objects exist under that S3 prefix, and that the role "{self.job["RoleArn"]}" has "s3:ListBucket" '
            f"permissions."
        )

    def _configure(self) -> None:
        self.write_config(
            f"{isolation.ML}/config/processingjobconfig.json", {name: self.job.get(name) for name in _CONFIG_MEMBERS}
        )
        self.write_config(f"{isolation.ML}/config/resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"]})
        self.local_path(MESSAGE).parent.mkdir(parents=True, exist_ok=True)

    def _outputs(self) -> list[tuple[Path, str, str]]:
        """(folder, S3 prefix, upload mode) of the outputs that the platform uploads."""
        outputs = self.job["ProcessingOutputConfig"]["Outputs"] if "ProcessingOutputConfig" in self.job else []
        targets = [output["S3Output"] for output in outputs if "S3Output" in output and not output.get("AppManaged")]
        return [
            (self.local_path(target["LocalPath"]), target["S3Uri"], target["S3UploadMode"])
            for target in targets
            if "LocalPath" in target
        ]

    def _prepare_outputs(self) -> list[FolderSync]:
        """Make the output folders; returns the uploaders of the continuous ones."""
        syncs = []
        for number, (folder, url, mode) in enumerate(self._outputs()):
            folder.mkdir(parents=True, exist_ok=True)
            if mode == "Continuous":
                scratch = self.directory / f"upload-{number}"
                syncs.append(FolderSync(self.s3, folder, url, scratch, options=self._encryption()))
        return syncs

    def _encryption(self) -> dict[str, str]:
        config = self.job.get("ProcessingOutputConfig")
        return encryption(config.get("KmsKeyId") if config else None)

    @property
    def isolated(self) -> bool:
        """Whether the request asks for network isolation."""
        return self.job.get("NetworkConfig", {}).get("EnableNetworkIsolation", False)

    def _upload_outputs(self) -> None:
        for folder, url, mode in self._outputs():
            if mode == "EndOfJob" and folder.is_dir():
                try:
                    upload_folder(self.s3, folder, url, **self._encryption())
                except ClientError as error:
                    raise JobError(f"ClientError: Failed to upload output to {url}: {error}") from error


def _incomplete(name: str) -> str:
    """AWS's sentence: the API model says that these members are optional (sagemaker-python-sdk issue 2578)."""
    return (
        f"ClientError: Input {name} missing one or more required fields for SageMaker-managed S3Input: "
        f'"LocalPath", "S3DownloadMode", "S3InputMode"'
    )


def _exit_message(path: Path) -> dict[str, str]:
    """The first KB of what the job left at /opt/ml/output/message, as the member ExitMessage."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return {"ExitMessage": file.read(1024).decode("utf-8", "ignore")}

"""A training job: channels in, the training container, model out; on Spot in as many attempts as it takes."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from include.sagemaker_local.containers import isolation
from include.sagemaker_local.containers.container import Container
from include.sagemaker_local.containers.transfers import (
    JobError,
    NoObjectsError,
    download,
    encryption,
    join,
    objects_of,
    upload_archive,
    upload_folder,
)
from include.sagemaker_local.context import Context
from include.sagemaker_local.jobs.execution import Cause, Execution
from include.sagemaker_local.jobs.job import STOPPING, TrainingJob
from include.sagemaker_local.jobs.metrics import SLOW_SECONDS, MetricSearch
from include.sagemaker_local.jobs.queue import JobQueue
from include.sagemaker_local.jobs.record import MAX_REASON, TRAINING, enter, mark_stopping
from include.sagemaker_local.jobs.sync import FolderSync
from include.sagemaker_local.state.spot import Interruption, SpotMarket

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import ChannelOutputTypeDef

TRAIN = Path(__file__).resolve().parent.parent / "containers" / "programs" / "train.py"
CONFIG = f"{isolation.ML}/input/config"
CHECKPOINTS = f"{isolation.ML}/checkpoints"
GROUP = "homogeneousCluster"
WAITING = "Training job waiting for capacity"
NO_SPOT = "Insufficient capacity error from EC2 while launching instances, retrying!"
PREPARING = "Preparing the instances for training"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STOPPED = {
    Cause.STOPPED: ("Stopped", "Training job stopped"),
    Cause.MAX_RUNTIME: ("MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided"),
    Cause.MAX_WAIT: ("MaxWaitTimeExceeded", "Training job wait time exceeded MaxWaitTimeInSeconds provided"),
}


class TrainingExecution(Execution[TrainingJob]):
    """Runs one training job. `running_seconds` is the time it has held an instance, over all attempts."""

    kind = TRAINING
    log_group = "/aws/sagemaker/TrainingJobs"

    def __init__(self, ctx: Context, name: str, queue: JobQueue, market: SpotMarket) -> None:
        super().__init__(ctx, name, queue)
        self.running_seconds = 0.0
        self._market = market
        self._spot: bool = self.job.get("EnableManagedSpotTraining", False)
        self._metrics = MetricSearch(self.job["AlgorithmSpecification"].get("MetricDefinitions", ()))
        self._attempt_started: float | None = None
        # Of checkpoints too: they have no key of their own, and nothing of AWS says another.
        self._encryption = encryption(self.job["OutputDataConfig"].get("KmsKeyId"))

    def run(self) -> None:
        """Attempts until one is not interrupted, with a wait for capacity before each."""
        cause, exit_code = self._wait_for_capacity(), None
        interruptions = 0
        while cause is Cause.WAITED:
            interruption = self._market.next_interruption(self.name, interruptions) if self._spot else None
            cause, exit_code = self._attempt(interruption)
            if cause is Cause.INTERRUPTED and interruption is not None:
                interruptions += 1
                cause = self._wait_after(interruption)
        if cause is Cause.EXITED and exit_code != 0:
            self._fail_with(exit_code)
        elif cause is Cause.EXITED:
            self._upload("model", always=True)
            self._upload("output")
            self._end("Completed", "Completed", "Training job completed")
        else:
            self._end_stopped(cause)

    def _wait_for_capacity(self) -> Cause:
        """Preparing an instance takes no time here, once there is one to be had.

        Without Spot capacity a job stays `Starting`, on demand it is `Pending`: a public log of 2026 of both, and the
        sequences of https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training-status.html
        """
        if self._spot and not self._market.has_capacity(self.name):
            self._replace_message(NO_SPOT)
            return self.wait(self._last_moment())
        self._enter("Pending", PREPARING if self.queue.enter(self) else WAITING)
        cause = self.wait_in_queue(self._last_moment())
        if cause is Cause.WAITED:
            self._replace_message(PREPARING)
        return cause

    def _wait_after(self, interruption: Interruption) -> Cause:
        """The time without an instance after an interruption, then a new start."""
        self.queue.leave(self)
        gap = {Cause.WAITED: time.time() + interruption.gap_seconds}
        cause = self.wait({**self._last_moment(), **gap})
        if cause is not Cause.WAITED:
            return cause
        self._enter("Starting", "Starting the training job")
        return self._wait_for_capacity()

    def _last_moment(self) -> dict[Cause, float]:
        """When the job has waited and run for MaxWaitTimeInSeconds."""
        seconds = self.job["StoppingCondition"].get("MaxWaitTimeInSeconds")
        return {Cause.MAX_WAIT: self.job["CreationTime"] + seconds} if seconds else {}

    def _attempt(self, interruption: Interruption | None) -> tuple[Cause, int | None]:
        """One instance, from its start to the end of its container: why it ended, and the exit code."""
        self._begin_attempt()
        self._download_channels()
        sync = self._restore_checkpoints()
        self._configure()
        if (early := self.wait({Cause.WAITED: 0.0})) is not Cause.WAITED:
            return early, None
        container = self.start_container(self._command(), self._container_environment())
        started = time.time()
        self._enter("Training", "Training image download completed. Training in progress.")
        if sync is not None:
            sync.start(container.pid)
        deadlines = self._deadlines(started, interruption)
        cause = self.wait(deadlines, lambda: _happened(container, sync, interruption))
        if cause is Cause.INTERRUPTED:
            self._interrupt(container, sync)
            return cause, None
        if cause in _STOPPED:
            self._mark_stopping()
        self.end_container(container)
        if sync is not None:
            sync.finish()
        return cause, container.exit_code

    def _interrupt(self, container: Container, sync: FolderSync | None) -> None:
        """The instance is taken away without notice: what is not in S3 by now is lost."""
        if sync is not None:
            sync.stop()
        self.end_container(container, at_once=True)
        self._end_attempt()
        self._enter("Interrupted", "Spot instances were interrupted")

    def _deadlines(self, started: float, interruption: Interruption | None) -> dict[Cause, float]:
        left = self.job["StoppingCondition"]["MaxRuntimeInSeconds"] - self.running_seconds
        deadlines = {**self._last_moment(), Cause.MAX_RUNTIME: (self._attempt_started or started) + left}
        if interruption is not None and interruption.after_seconds is not None:
            deadlines[Cause.INTERRUPTED] = started + interruption.after_seconds
        return deadlines

    def _begin_attempt(self) -> None:
        now = self._attempt_started = time.time()

        def mutate(body: TrainingJob) -> None:
            body.setdefault("TrainingStartTime", now)
            enter(body, "Downloading", "Downloading input data", now)

        self.record.change(mutate)
        self.fresh_instance()

    def _end_attempt(self) -> None:
        """Count the attempt's time; the instance is gone."""
        if self._attempt_started is not None:
            self.running_seconds += time.time() - self._attempt_started
            self._attempt_started = None

    def _download_channels(self) -> None:
        for channel in self.job.get("InputDataConfig", ()):
            source = channel["DataSource"]["S3DataSource"]
            folder = self.local_path(f"{isolation.ML}/input/data/{channel['ChannelName']}")
            folder.mkdir(parents=True, exist_ok=True)
            try:
                fetches = objects_of(self.s3, source["S3DataType"], source["S3Uri"])
                download(self.s3, fetches, folder, gzipped=channel.get("CompressionType") == "Gzip")
            except NoObjectsError as error:
                raise JobError(
                    f'ClientError: Data download failed:No S3 objects found under S3 URL "{error.url}" given in input '
                    f"data source."
                ) from error

    def _restore_checkpoints(self) -> FolderSync | None:
        """Bring the checkpoints of earlier attempts back, and prepare to upload those of this one."""
        config = self.job.get("CheckpointConfig")
        if config is None:
            return None
        folder = self.local_path(config.get("LocalPath", CHECKPOINTS))
        folder.mkdir(parents=True, exist_ok=True)
        prefix = join(config["S3Uri"], "")
        with contextlib.suppress(NoObjectsError):  # the first attempt of the first job has none
            download(self.s3, objects_of(self.s3, "S3Prefix", prefix), folder)
        scratch = self.directory / "upload"
        return FolderSync(
            self.s3,
            folder,
            prefix,
            scratch,
            options=self._encryption,
            deletions=True,
            restored=True,
            on_upload=self.wake,
        )

    def _configure(self) -> None:
        instance = self.job["ResourceConfig"]["InstanceType"]
        group = {"instance_group_name": GROUP, "instance_type": instance, "hosts": ["algo-1"]}
        resources = {
            "current_host": "algo-1",
            "current_instance_type": instance,
            "current_group_name": GROUP,
            "hosts": ["algo-1"],
            "instance_groups": [group],
            "network_interface_name": "eth0",
        }
        channels = {channel["ChannelName"]: _channel_config(channel) for channel in self.job.get("InputDataConfig", ())}
        self.write_config(f"{CONFIG}/hyperparameters.json", self.job.get("HyperParameters", {}))
        self.write_config(f"{CONFIG}/resourceconfig.json", resources)
        self.write_config(f"{CONFIG}/inputdataconfig.json", channels)
        if checkpoints := self.job.get("CheckpointConfig"):
            self.write_config(f"{CONFIG}/checkpointconfig.json", {"LocalPath": CHECKPOINTS, **checkpoints})
        for folder in ("model", "output/data", "code"):
            self.local_path(f"{isolation.ML}/{folder}").mkdir(parents=True, exist_ok=True)

    @property
    def isolated(self) -> bool:
        """Whether the request asks for network isolation."""
        return self.job.get("EnableNetworkIsolation", False)

    def _command(self) -> list[str]:
        """The container's command: its own, or what `train` is in AWS's framework containers."""
        algorithm = self.job["AlgorithmSpecification"]
        entrypoint = algorithm.get("ContainerEntrypoint", [str(self.ctx.settings.python), str(TRAIN)])
        return [*entrypoint, *algorithm.get("ContainerArguments", ())]

    def _container_environment(self) -> Mapping[str, str]:
        names = {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self.record.arn}
        return {**names, **self.job.get("Environment", {})}

    def on_line(self, line: str) -> None:
        """Keep it for the metrics, and log; a control character becomes its number, so that a tab is `#011`."""
        printable = _CONTROL.sub(lambda found: f"#{ord(found[0]):03o}", line)
        self._metrics.read(printable)
        super().on_line(printable)

    def _enter(self, secondary: str, message: str) -> None:
        self.record.change(lambda body: enter(body, secondary, message, time.time()))

    def _replace_message(self, message: str) -> None:
        """Replace the message of the present secondary status, if it is another."""
        if self.record.body["SecondaryStatusTransitions"][-1]["StatusMessage"] != message:
            self.record.change(lambda body: body["SecondaryStatusTransitions"][-1].update({"StatusMessage": message}))

    def _mark_stopping(self) -> None:
        """Status Stopping, which a stop by the user has set already."""
        if self.record.body["TrainingJobStatus"] != STOPPING:
            self.record.change(lambda body: mark_stopping(TRAINING, body))

    def _fail_with(self, exit_code: int | None) -> None:
        """The container failed: upload its data output; the reason is what it wrote to /opt/ml/output/failure."""
        self._upload("output")
        failure = self.local_path(f"{isolation.ML}/output/failure")
        text = failure.read_text("utf-8", "replace") if failure.is_file() else ""
        ending = f", exit code: {exit_code}"
        reason = f"AlgorithmError: {text}"[: MAX_REASON - len(ending)] + ending
        self._end("Failed", "Failed", "Training job failed", FailureReason=reason)

    def _end_stopped(self, cause: Cause) -> None:
        self._mark_stopping()
        if self._attempt_started is not None:
            self._upload("model")
            self._upload("output")
        secondary, message = _STOPPED[cause]
        self._end("Stopped", secondary, message)

    def _upload(self, what: str, *, always: bool = False) -> None:
        """Upload /opt/ml/model or /opt/ml/output/data as a tar.gz, if there is anything in it."""
        folder = self.local_path(f"{isolation.ML}/{'model' if what == 'model' else 'output/data'}")
        if not always and not (folder.is_dir() and any(folder.iterdir())):
            return
        folder.mkdir(parents=True, exist_ok=True)
        if self.record.body["SecondaryStatus"] != "Uploading":
            self._enter("Uploading", "Uploading generated training model")
        try:
            url = self._upload_to_s3(folder, what)
        except ClientError as error:
            raise JobError(f"ClientError: Artifact upload failed: {error}") from error
        if what == "model":
            self.record.change(lambda body: body.update({"ModelArtifacts": {"S3ModelArtifacts": url}}))

    def _upload_to_s3(self, folder: Path, what: str) -> str:
        """Upload the folder as OutputDataConfig says, and return the address of what it became."""
        config = self.job["OutputDataConfig"]
        url = join(config["S3OutputPath"], f"{self.name}/output/{what}")
        if config.get("CompressionType") == "NONE":
            upload_folder(self.s3, folder, url, **self._encryption)
            return join(url, "")
        upload_archive(self.s3, folder, self.directory / f"{what}.tar.gz", f"{url}.tar.gz", **self._encryption)
        return f"{url}.tar.gz"

    def _end(self, status: str, secondary: str, message: str, **members: str) -> None:
        self._end_attempt()
        metrics = self._metrics.search()
        for name in metrics.slow:
            self.append_to_log(
                f"Metric {name} is lost: its regular expression took more than {SLOW_SECONDS:g} s for one line. Nested "
                f"repetitions such as (a+)+ do that."
            )
        more: dict[str, object] = {"FinalMetricDataList": metrics.final} if metrics.final else {}
        if self._spot and self.running_seconds:
            more["BillableTimeInSeconds"] = self._market.billable_seconds(self.running_seconds)
        self.record.end(status, secondary, message, **members, **more)

    def fail(self, reason: str) -> None:
        """End the job as Failed for a reason that is not its container's."""
        self._end("Failed", "Failed", "Training job failed", FailureReason=reason[:MAX_REASON])


def _happened(container: Container, sync: FolderSync | None, interruption: Interruption | None) -> Cause | None:
    if container.exit_code is not None:
        return Cause.EXITED
    count = interruption.after_checkpoints if interruption else None
    return Cause.INTERRUPTED if count and sync is not None and sync.uploaded >= count else None


def _channel_config(channel: ChannelOutputTypeDef) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "ContentType": channel.get("ContentType"),
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return {name: value for name, value in config.items() if value is not None}

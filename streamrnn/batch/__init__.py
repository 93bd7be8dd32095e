"""Runs a model over thousands of recordings, into a folder: finished ones are skipped, failures are reported."""

from streamrnn.batch.journal import Journal, OtherBatch
from streamrnn.batch.recordings import BatchRecording, Shard, find_batch
from streamrnn.batch.running import Progress, Report, run_batch
from streamrnn.batch.threads import Threads
from streamrnn.batch.work import DiskFull, Done, Failed, Plan, Workers, work_off

__all__ = [
    "BatchRecording",
    "DiskFull",
    "Done",
    "Failed",
    "Journal",
    "OtherBatch",
    "Plan",
    "Progress",
    "Report",
    "Shard",
    "Threads",
    "Workers",
    "find_batch",
    "run_batch",
    "work_off",
]

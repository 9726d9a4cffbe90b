"""`python -m edgebee.benchmarks.studies`: how edgebee itself was tuned and measured."""

import click

from edgebee.benchmarks.studies.archive_scale import archive
from edgebee.benchmarks.studies.cluster import cluster
from edgebee.benchmarks.studies.distillation_command import distill
from edgebee.benchmarks.studies.neither import neither
from edgebee.benchmarks.studies.plain_comparison import plain
from edgebee.benchmarks.studies.seeds import seeds
from edgebee.benchmarks.studies.settings import settings
from edgebee.benchmarks.studies.speed_command import speed


@click.group(commands=[plain, neither, seeds, settings, speed, distill, archive, cluster])
def studies() -> None:
    """Measure edgebee itself: time, robustness, strangers, seeds, settings, speed, scale."""


if __name__ == "__main__":
    studies(prog_name="python -m edgebee.benchmarks.studies")

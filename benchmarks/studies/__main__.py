"""`python -m edgebee.benchmarks.studies`: how edgebee itself was tuned and measured."""

from typing import Any

import click

from edgebee.benchmarks.studies.archive_scale import archive
from edgebee.benchmarks.studies.cluster import cluster
from edgebee.benchmarks.studies.distillation_command import distill
from edgebee.benchmarks.studies.neither import neither
from edgebee.benchmarks.studies.plain_comparison import plain
from edgebee.benchmarks.studies.seeds import seeds
from edgebee.benchmarks.studies.settings import settings
from edgebee.benchmarks.studies.speed_command import speed
from edgebee.benchmarks.studies.stamps import stamps
from edgebee.console import escape_control_chars
from edgebee.errors import EdgebeeError


class Studies(click.Group):
    """A group whose expected failures are one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Turn an expected failure into one line and exit status 1."""
        try:
            return super().invoke(ctx)
        except EdgebeeError as error:
            raise click.ClickException(escape_control_chars(error)) from error


@click.group(
    cls=Studies,
    commands=[plain, neither, stamps, seeds, settings, speed, distill, archive, cluster],
)
def studies() -> None:
    """Measure edgebee itself: time, robustness, strangers, seeds, settings, speed, scale."""


if __name__ == "__main__":
    studies(prog_name="python -m edgebee.benchmarks.studies")

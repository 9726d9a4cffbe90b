"""`python -m edgebee.benchmarks.studies`: how edgebee itself was tuned and measured."""

from edgebee.benchmarks.studies.study_command import command

if __name__ == "__main__":
    command(prog_name="python -m edgebee.benchmarks.studies")

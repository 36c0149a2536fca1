# The study that the config describes, and what the rules ask of it. Comes in: config. Goes out: results/**/*.json, the requests.

import sys

from looksam.errors import UserError
from looksam.failure import say_last
from looksam.study import Study


def planned(config):
    """The study; a mistake in the config ends here in one line, where Snakemake would add a traceback."""
    try:
        study = Study(config)
        # jobs parse this file too, maybe after the config was edited: only the main process decides what is wanted
        if workflow.is_main_process:
            study.write_requests()
    except UserError as error:
        sys.exit(f"looksam: error: {error}")
    return study


STUDY = planned(config)


def index_of(wildcards):
    return f"results/shards/{STUDY.runs[wildcards.run].shards}/index.parquet"


def threads_of(wildcards):
    return STUDY.runs[wildcards.run].settings["threads"]


def indexes_of(wildcards):
    return sorted(
        {f"results/shards/{run.shards}/index.parquet" for run in STUDY.tables[wildcards.table].runs.values()}
    )


def models_of(wildcards):
    return expand("results/runs/{run}/model.safetensors", run=STUDY.tables[wildcards.table].runs)


def evaluations_of(wildcards):
    return [f"results/evaluations/{wildcards.table}.parquet"] if STUDY.tables[wildcards.table].runs else []


wildcard_constraints:
    dataset=r"[a-z0-9-]+\.[0-9a-f]{8}",
    run=r"[a-z0-9.-]+\.[0-9a-f]{8}",
    table=r"[a-z0-9-]+",


onerror:
    say_last(log)

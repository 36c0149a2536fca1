# The study's requests, and what the rules read from them. Comes in: config. Goes out: results/**/*.json.

import sys
from pathlib import Path

from looksam.errors import UserError
from looksam.failure import say_last
from looksam.requests import check_link, read_request
from looksam.study import Study
from looksam.walltime import SITE, minutes
from looksam.workers import paying_workers


def write_requests(config):
    """Write what the config asks for; a mistake in it ends here in one line, where Snakemake would add a traceback."""
    try:
        check_link(Path("results"))
        Study(config).write_requests()
    except UserError as error:
        sys.exit(f"looksam: error: {error}")


# Jobs on a cluster parse this file too, maybe after the config was edited, and so does a dry run beside a running Snakemake:
# both go by the requests as they stand.
if workflow.is_main_process:
    if any(Path(".snakemake/locks").glob("*.lock")):
        print(
            "looksam: Snakemake is at work here, or was killed; edits of config and code count once it has ended",
            file=sys.stderr,
        )
    else:
        write_requests(config)

TABLES = read_request("results/report.json")["tables"]
CLAIMS = read_request("results/claims.json")
EVALUATIONS = read_request("results/report.json")["evaluations"]
EVIDENCE = read_request("results/report.json")["evidence"] or {"runs": []}


def sharders_of(wildcards):
    dataset = read_request(f"results/shards/{wildcards.dataset}/source.json")["dataset"]
    return min(8, paying_workers(dataset))


def megabytes_to_shard(wildcards, threads):
    return 2000 + 300 * threads


def run_of(wildcards):
    return read_request(f"results/runs/{wildcards.run}/run.json")


def index_of(wildcards):
    return f"{run_of(wildcards)['shards']}/index.parquet"


def threads_of(wildcards):
    return run_of(wildcards)["settings"]["threads"]


def minutes_of(wildcards):
    """The walltime to ask for, by the devices that the profile sets for the rule."""
    site = workflow.resource_settings.overwrite_resources.get("train", {})
    known = {"input": None, "attempt": 1, "threads": 1, "rulename": "train", "async_run": None}
    values = {key: site[key].evaluate(wildcards, **known).value for key in SITE if key in site.keys()}
    try:
        return minutes(run_of(wildcards)["settings"], values)
    except UserError as error:
        sys.exit(f"looksam: error: {error}")


def readers_of(wildcards, threads):
    """How many processes read large images, where a profile says nothing else."""
    return threads


def evaluation_of(wildcards):
    return read_request(f"results/evaluations/{wildcards.table}.json")


def models_of(wildcards):
    return [f"results/runs/{run['run']}/model.safetensors" for run in evaluation_of(wildcards)["runs"]]


def indexes_of(wildcards):
    return [f"{shards}/index.parquet" for shards in evaluation_of(wildcards)["shards"]]


def evaluations_of(wildcards):
    cells = read_request(f"results/tables/{wildcards.table}.json")["cells"]
    return [f"results/evaluations/{wildcards.table}.parquet"] if any(cell["runs"] for cell in cells) else []


def trials_of(wildcards):
    return read_request(f"results/searches/{wildcards.search}/trials.json")


def trial_models_of(wildcards):
    return [f"results/runs/{trial['run']}/model.safetensors" for trial in trials_of(wildcards)["trials"]]


def trial_index_of(wildcards):
    return f"{trials_of(wildcards)['shards']}/index.parquet"


def choice_of(wildcards):
    settings = run_of(wildcards)["settings"]
    return [settings["chosen"]["from"]] if "chosen" in settings else []


def choices_of(wildcards):
    searches = read_request(f"results/tables/{wildcards.table}.json")["searches"]
    return [f"results/searches/{search}/chosen.json" for search in searches]


def gathered_tables(wildcards):
    return read_request("results/evidence/gather.json")["tables"]


def gathered_evaluations(wildcards):
    return read_request("results/evidence/gather.json")["evaluations"]


wildcard_constraints:
    dataset=r"[a-z0-9-]+\.[0-9a-f]{8}",
    run=r"[a-z0-9.-]+\.[0-9a-f]{8}",
    search=r"[a-z0-9.-]+\.[0-9a-f]{8}",
    table="|".join(TABLES),


onerror:
    say_last(log)

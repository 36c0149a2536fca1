# Comes in: results/runs/<run>/run.json and shards. Goes out: weights, history, timing; results/evaluations/<table>.parquet.


rule train:
    input:
        request="results/runs/{run}/run.json",
        index=index_of,
        chosen=choice_of,
    output:
        model="results/runs/{run}/model.safetensors",
        history="results/runs/{run}/history.parquet",
        timing="results/runs/{run}/timing.json",
    log:
        "results/logs/train/{run}.log",
    benchmark:
        "results/benchmarks/train/{run}.tsv"
    threads: threads_of
    resources:
        mem_mb=2000,
        runtime=minutes_of,
        # what starts the training elsewhere or on many devices, set by a cluster's profile
        launcher="",
    shell:
        r"""
        exec &> >(tee {log:q})

        {resources.launcher} looksam train {input.request:q}
        """


# one process for all runs of a table: to start one costs as much as a small training
rule evaluate:
    input:
        request="results/evaluations/{table}.json",
        models=models_of,
        indexes=indexes_of,
    output:
        evaluations="results/evaluations/{table}.parquet",
    log:
        "results/logs/evaluate/{table}.log",
    benchmark:
        "results/benchmarks/evaluate/{table}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
        launcher="",
        workers=readers_of,
    shell:
        r"""
        exec &> >(tee {log:q})

        {resources.launcher} looksam evaluate {input.request:q} \
            --runs results/runs \
            --evaluations {output.evaluations:q} \
            --workers {resources.workers}
        """

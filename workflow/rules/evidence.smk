# Comes in: the tables and evaluations of the evidence study. Goes out: results/evidence/*.csv, which stand by themselves.


localrules:
    gather,


rule gather:
    input:
        request="results/evidence/gather.json",
        tables=gathered_tables,
        evaluations=gathered_evaluations,
    output:
        runs="results/evidence/runs.csv",
        premise="results/evidence/premise.csv",
    log:
        "results/logs/gather.log",
    benchmark:
        "results/benchmarks/gather.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    shell:
        r"""
        exec &> >(tee {log:q})

        looksam gather {input.request:q} \
            --tables {input.tables:q} \
            --evaluations {input.evaluations:q} \
            --runs {output.runs:q} \
            --premise {output.premise:q}
        """

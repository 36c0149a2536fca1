# Comes in: the tables and evaluations of the evidence study. Goes out: results/evidence/*.csv, which stand by themselves; of those
# in docs/evidence/, the page docs/evidence.md and its pictures.


localrules:
    gather,
    evidence_page,


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


# of the committed files, at any scale: what a study here has found comes into it only by taking their place
rule evidence_page:
    input:
        request="results/evidence/page.json",
        runs="docs/evidence/runs.csv",
        premise="docs/evidence/premise.csv",
        claims="config/claims.yaml",
        template="reports/templates/evidence.md.j2",
        style="reports/templates/style.css",
    output:
        page="docs/evidence.md",
        pictures=expand(
            "docs/evidence/{picture}.svg",
            picture=["primary", "beside", "retained", "accuracies"]
            + ["premise-cosines", "premise-cosines-slower", "premise-gains"],
        ),
    log:
        "results/logs/evidence_page.log",
    benchmark:
        "results/benchmarks/evidence_page.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    shell:
        r"""
        exec &> >(tee {log:q})

        looksam evidence {input.request:q} \
            --runs {input.runs:q} \
            --premise {input.premise:q} \
            --claims {input.claims:q} \
            --templates reports/templates \
            --page {output.page:q}
        """

# Comes in: requests and evaluations of tables, templates. Goes out: results/tables/<table>.parquet, results/verdicts.json and
# everything in reports/.


# seconds each: on a cluster they are done where Snakemake runs
localrules:
    tabulate,
    judge,
    report,


rule tabulate:
    input:
        request="results/tables/{table}.json",
        evaluations=evaluations_of,
        chosen=choices_of,
    output:
        table="results/tables/{table}.parquet",
    log:
        "results/logs/tabulate/{table}.log",
    benchmark:
        "results/benchmarks/tabulate/{table}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    shell:
        r"""
        exec &> >(tee {log:q})

        looksam tabulate {input.request:q} \
            --evaluations {input.evaluations:q} \
            --chosen {input.chosen:q} \
            --table {output.table:q}
        """


rule judge:
    input:
        request="results/claims.json",
        tables=CLAIMS["tables"],
        evaluations=CLAIMS["evaluations"],
    output:
        verdicts="results/verdicts.json",
    log:
        "results/logs/judge.log",
    benchmark:
        "results/benchmarks/judge.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    shell:
        r"""
        exec &> >(tee {log:q})

        looksam judge {input.request:q} \
            --tables {input.tables:q} \
            --evaluations {input.evaluations:q} \
            --verdicts {output.verdicts:q}
        """


rule report:
    input:
        request="results/report.json",
        tables=expand("results/tables/{table}.parquet", table=TABLES),
        verdicts="results/verdicts.json",
        evaluations=EVALUATIONS,
        evidence=EVIDENCE["runs"],
        page="reports/templates/all_tables.html.j2",
        parts=expand(
            "reports/templates/{part}.html.j2",
            part=["answer", "evidence", "claims", "legend", "table", "figures", "runs"],
        ),
        style="reports/templates/style.css",
        script="reports/templates/sort.js",
        markdown="reports/templates/table.md.j2",
        latex="reports/templates/table.tex.j2",
    output:
        page=report("reports/all_tables.html", caption="../captions/page.rst", category="Report"),
        csv=report(
            expand("reports/tables/{table}.csv", table=TABLES),
            caption="../captions/table.rst",
            category="Tables",
        ),
        exports=expand("reports/tables/{table}.{suffix}", table=TABLES, suffix=["md", "tex"]),
        runs=report("reports/tables/all_runs.csv", caption="../captions/runs.rst", category="Runs"),
        tidy="reports/tables/all_runs.parquet",
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    shell:
        r"""
        exec &> >(tee {log:q})

        looksam report {input.request:q} \
            --tables {input.tables:q} \
            --verdicts {input.verdicts:q} \
            --evaluations {input.evaluations:q} \
            --evidence {input.evidence:q} \
            --templates reports/templates \
            --html {output.page:q} \
            --exports reports/tables
        """

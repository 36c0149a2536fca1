# Comes in: results/searches/<search>/trials.json and the trained trials. Goes out: the values that other runs take, chosen.json.


# asks for no fingerprint of the evaluation: another way to measure must not train every run anew whose values were chosen. Where it
# would choose otherwise, tabulating the search ends in an error that says so.
rule choose:
    input:
        request="results/searches/{search}/trials.json",
        models=trial_models_of,
        index=trial_index_of,
    output:
        chosen="results/searches/{search}/chosen.json",
    log:
        "results/logs/choose/{search}.log",
    benchmark:
        "results/benchmarks/choose/{search}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
        launcher="",
        workers=readers_of,
    shell:
        r"""
        exec &> >(tee {log:q})

        {resources.launcher} looksam choose {input.request:q} \
            --runs results/runs \
            --chosen {output.chosen:q} \
            --workers {resources.workers}
        """

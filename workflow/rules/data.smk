# Comes in: results/shards/<dataset>/source.json, and data/<name> for what must be fetched. Goes out: WebDataset tars and their index,
# or the index alone where the tars are at a URL.


# it goes on where another attempt ended: that one's finished tars, which are no outputs, stay beside the request with their parts/
rule shard:
    input:
        request="results/shards/{dataset}/source.json",
    output:
        # written last, so that it stands for the tars beside it, whose number only the data tells
        index="results/shards/{dataset}/index.parquet",
        info="results/shards/{dataset}/_info.json",
    log:
        "results/logs/shard/{dataset}.log",
    benchmark:
        "results/benchmarks/shard/{dataset}.tsv"
    threads: sharders_of
    resources:
        mem_mb=megabytes_to_shard,
        runtime=720,
    shell:
        r"""
        exec &> >(tee {log:q})

        looksam shard {input.request:q} --workers {threads}
        """

# Every table of the LookSAM paper, from data to one page: reports/all_tables.html.
#
#   snakemake --cores all reports/all_tables.html                                    at the scale that config/config.yaml names
#   snakemake --cores all reports/all_tables.html --configfile config/smoke.yaml     the whole chain in about a minute
#   snakemake --cores all reports/all_tables.html --configfile config/cifar.yaml     the paper's CIFAR tables on one GPU
#   snakemake --profile slurm reports/all_tables.html                                the paper's scale on a GPU cluster
#   snakemake --profile tpu reports/all_tables.html                                  the paper's scale on TPU slices
#
# Sources -> shard -> train -> evaluate -> tabulate -> report; at some scales, trials -> choose comes before train. Each rule makes its result from a request, a small JSON file that
# says everything that decides it; the requests are written here, when the config is read (looksam/requests.py).

from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/captions/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/evidence.smk"


rule all:
    default_target: True
    input:
        "reports/all_tables.html",

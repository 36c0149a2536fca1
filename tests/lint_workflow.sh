#!/bin/sh
# snakemake --lint, less its one complaint that this workflow does not share: software comes from the package, not from conda or
# containers. Prints whatever else it says, and fails then.
set -eu
found=$(snakemake --lint 2>&1 | awk '
    /^Lints for / { header = $0; next }
    /^    \* / { keep = ($0 !~ /Specify a conda environment or container/); if (keep) print header }
    /^Using workflow specific profile/ || /^$/ { next }
    /^    / { if (keep) print; next }
    { print }
')
test -z "$found" || { echo "$found"; exit 1; }

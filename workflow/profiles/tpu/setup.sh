# What each host of a slice does before it trains, sourced by bash: it must find the bucket at $LOOKSAM_MOUNT, and `python`, `looksam`
# and torch_tpu in PATH. Edit it where your hosts have neither a way to the internet nor this image; every start runs it again.

# TPU images come with an older Python than looksam needs; uv brings one
export PATH=$HOME/.local/bin:$PATH
command -v uv >/dev/null || python3 -m pip install --quiet --user uv

if ! mountpoint -q "$LOOKSAM_MOUNT"; then
    if ! command -v gcsfuse >/dev/null; then
        version=3.11.1
        curl -fsSLo /tmp/gcsfuse.deb \
            "https://github.com/GoogleCloudPlatform/gcsfuse/releases/download/v$version/gcsfuse_${version}_amd64.deb"
        # a fresh image may still be updating itself
        sudo apt-get -o DPkg::Lock::Timeout=600 install -qq /tmp/gcsfuse.deb
    fi
    sudo mkdir -p "$LOOKSAM_MOUNT"
    sudo chown "$USER" "$LOOKSAM_MOUNT"
    # no cache of what is there: the training asks who owns a run, and another host's answer must be seen
    gcsfuse --implicit-dirs --metadata-cache-ttl-secs 0 --metadata-cache-negative-ttl-secs 0 "$LOOKSAM_BUCKET" "$LOOKSAM_MOUNT"
fi

# one environment for each version of the code, complete or not there at all
environment=$HOME/$(basename "$LOOKSAM_CODE" .tar)
if [ ! -e "$environment/complete" ]; then
    rm -rf "$environment"
    uv venv --quiet --python 3.12 "$environment"
    mkdir "$environment/source"
    tar -xf "$LOOKSAM_CODE" -C "$environment/source"
    VIRTUAL_ENV=$environment uv pip install --quiet --torch-backend cpu "$environment/source/looksam[pipeline,tpu]"
    touch "$environment/complete"
fi
export PATH=$environment/bin:$PATH

# which host this is, and where the others are, as torch_tpu asks for it
metadata() {
    curl -fsS -H 'Metadata-Flavor: Google' "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}
export JOB_COMPLETION_INDEX TPU_WORKER_HOSTNAMES
TPU_WORKER_HOSTNAMES=$(metadata worker-network-endpoints | tr ',' '\n' | cut -d : -f 3 | paste -s -d ,)
JOB_COMPLETION_INDEX=$(metadata agent-worker-number)
case $TPU_WORKER_HOSTNAMES in
    *,*) ;;
    *) unset JOB_COMPLETION_INDEX TPU_WORKER_HOSTNAMES ;; # torch_tpu takes an index for a sign of many hosts
esac

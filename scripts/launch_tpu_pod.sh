#!/usr/bin/env bash
# usage: TPU_NAME=NAME ZONE=ZONE [PROJECT=ID] scripts/launch_tpu_pod.sh install | train PRESET OPTIONS... | logs | stop
#
# Trains on all workers of a TPU pod slice that exists (docs/pods.md says how to make one). Needs gcloud, logged in.
#   install            copies this checkout's last commit to every worker and makes its environment there
#   train PRESET ...   starts `wavejax train PRESET --distributed ...` on every worker; it goes on after you log out.
#                      The working folder has to be one that all workers see, or a URL (gs://BUCKET/RUN)
#   logs               the last lines of every worker
#   stop               SIGTERM: every worker saves and ends
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,9s/^# \{0,1\}//p' scripts/launch_tpu_pod.sh >&2; exit 2; }
[[ $# -gt 0 && "$1" =~ ^(install|train|logs|stop)$ ]] || usage
[[ "$1" != train || $# -gt 1 ]] || usage
: "${TPU_NAME:?is the name of the slice}" "${ZONE:?is the zone of the slice}"

place=(--zone="$ZONE" --worker=all ${PROJECT:+--project="$PROJECT"})
on_all() { gcloud compute tpus tpu-vm ssh "$TPU_NAME" "${place[@]}" --command="$1"; }
runs='[ -e wavejax.pid ] && kill -0 "$(cat wavejax.pid)" 2> /dev/null'

case "$1" in
  install)
    folder="$(mktemp -d)"
    trap 'rm -rf "$folder"' EXIT
    git archive --format=tar.gz --output="$folder/wavejax.tar.gz" HEAD
    gcloud compute tpus tpu-vm scp "$folder/wavejax.tar.gz" "$TPU_NAME:wavejax.tar.gz" "${place[@]}"
    on_all 'mkdir -p wavejax && tar -xzf wavejax.tar.gz -C wavejax && wavejax/scripts/setup_environment train,tpu,cloud'
    ;;
  train)
    preset="$2"
    shift 2
    command="$(printf '%q ' wavejax/.venv/bin/wavejax train "$preset" --distributed "$@")"
    on_all "if $runs; then echo \"a training runs on \$(hostname) already\" >&2; exit 1; fi
      setsid nohup $command > wavejax.log 2>&1 < /dev/null &
      echo \$! > wavejax.pid; sleep 5; echo \"== \$(hostname)\"; tail -n 3 wavejax.log"
    ;;
  logs) on_all 'echo "== $(hostname)"; tail -n 20 wavejax.log' ;;
  stop) on_all "if $runs; then kill -TERM \"\$(cat wavejax.pid)\"; else echo \"nothing runs on \$(hostname)\"; fi" ;;
esac

#!/usr/bin/env bash
# A real Slurm of one node on loopback: `segkit predict --cluster slurm:…` gives the same bytes as one process.
#
# Run as root, in a machine or container of its own: tests/slurm/run.sh [PYTHON]
# Installs slurm-wlm and munge with apt where they are missing, starts the daemons without systemd, and stops them again.
set -euo pipefail

python=$(realpath -s "${1:-.venv/bin/python}")
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d /tmp/segkit-slurm-XXXXXX)
[ "$(id -u)" = 0 ] || { echo "This starts daemons: run it as root, in a container." >&2; exit 77; }

if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge
fi

pids=()
stop() {
    scancel --user root 2>/dev/null || true
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill "${pids[i]}" 2>/dev/null || true; done
    sleep 2
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
}
trap stop EXIT

# munge: authentication between the daemons.
install -d -o munge -g munge -m 0755 /run/munge
[ -s /etc/munge/munge.key ] || (umask 077; dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none)
chown munge:munge /etc/munge/munge.key
runuser -u munge -- munged --foreground --force >"$work/munged.log" 2>&1 &
pids+=($!)

host=$(hostname -s)
export SLURM_CONF=$work/slurm.conf
mkdir -p "$work/state" "$work/spool"
cat >"$SLURM_CONF" <<CONF
ClusterName=segkit
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
CONF

slurmctld -D -f "$SLURM_CONF" >"$work/slurmctld.out" 2>&1 &
pids+=($!)
slurmd -D -f "$SLURM_CONF" -N "$host" >"$work/slurmd.out" 2>&1 &
pids+=($!)

for attempt in $(seq 60); do
    sinfo -h -o %t 2>/dev/null | grep -q idle && break
    if [ "$attempt" = 60 ]; then
        echo "Slurm does not start; its logs are in $work:" >&2
        tail -n 5 "$work"/*.log "$work"/*.out >&2
        exit 1
    fi
    sleep 1
done
sinfo

cd "$root"
export OMP_NUM_THREADS=1
"$python" tests/slurm/make_inputs.py "$work/in"
segkit() { "$python" -m segkit "$@"; }
options=(--block 16 32 32 --halo 4 8 8)
segkit predict "$work/in/model" "$work/in/image.zarr" "$work/one/prediction.zarr" "${options[@]}"
cluster="slurm:workers=2,cores=1,memory=1GB,queue=main,walltime=00:20:00,interface=lo,logs=$work/jobs"
hashes() { (cd "$1" && find . -type f -not -path './.segkit/*' -print0 | sort -z | xargs -0 sha256sum); }

# Once as it comes, once with a job that is cancelled on the way: another one takes its place.
for way in whole cancelled; do
    target=$work/$way/prediction.zarr
    segkit predict "$work/in/model" "$work/in/image.zarr" "$target" "${options[@]}" --cluster "$cluster" &
    command=$!
    while kill -0 "$command" 2>/dev/null && [ ! -s "$target/.segkit/journal.jsonl" ]; do sleep 0.1; done
    echo "jobs while it runs:"
    squeue
    if [ "$way" = cancelled ]; then
        first=$(squeue -h -o %A | sort -n | head -n 1)
        scancel "$first"
        echo "job $first is cancelled at $(wc -l <"$target/.segkit/journal.jsonl") blocks"
    fi
    wait "$command"
    diff <(hashes "$work/one/prediction.zarr") <(hashes "$target")
    echo "$(hashes "$target" | wc -l) files of the prediction by Slurm jobs ($way) equal those of one process, by hash."
done
for attempt in $(seq 20); do
    squeue -h | grep -q . || break
    sleep 1
done
if squeue -h | grep -q .; then
    echo "Jobs are left behind:" >&2
    squeue >&2
    exit 1
fi
echo "no job is left."
rm -rf "$work"

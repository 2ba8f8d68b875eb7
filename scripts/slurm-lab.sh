#!/usr/bin/env bash
# A Slurm of one machine, for tests: four nodes of two processors that can lose their power one by one, a partition
# that preempts the other, memory limits that are kept, everything on the loopback interface and in one directory.
#
#   apt-get install -y --no-install-recommends slurm-wlm munge      (Debian, Ubuntu; needs no running service)
#
#   scripts/slurm-lab.sh start DIR
#       DIR is new or empty. Waits until all nodes are idle and prints the line to give to a shell:
#       eval "$(scripts/slurm-lab.sh start DIR)"; then sbatch, squeue, ... speak to this Slurm.
#   scripts/slurm-lab.sh kill-node DIR n1
#       The node loses its power: its slurmd and whatever ran on it are gone at once.
#   scripts/slurm-lab.sh start-node DIR n1
#   scripts/slurm-lab.sh stop DIR
#       Ends the daemons that `start` started, and with the nodes their jobs. DIR stays, with its logs.
#   scripts/slurm-lab.sh check [DIR]
#       Starts one, runs jobs that end in every way that matters, tells what Slurm says of each, stops it; fails if
#       anything is not as expected. Two minutes, because Slurm's shortest time limit is one.
#
# Needs root: a node is a namespace of processes with a host name of its own (unshare). Partitions: `normal` (default)
# and `urgent`, whose jobs requeue those of `normal`. SLURM_LAB_PORT (27817): the first of five ports.
set -uo pipefail
SCRIPT=$(readlink -f "$0")
PORT=${SLURM_LAB_PORT:-27817}
NODES=(n1 n2 n3 n4)
# A package's daemons are not on every user's path.
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "error: $*" >&2
    exit 2
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# ---- what the lab consists of

write_configuration() {
    local dir=$1 user i
    user=$(id -un)
    cat <<CONFIGURATION
ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=$user
SlurmdUser=$user
# Requeued jobs wait as long as a credential is valid: 120 s if nothing is said.
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock,cred_expire=5
# Daemons listen at the addresses below, not at all that the machine has.
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.daemon-pid
SlurmdPidFile=$dir/%n.daemon-pid
MpiDefault=none
SwitchType=switch/none
TaskPlugin=task/none
ProctrackType=proctrack/linuxproc
# Memory limits without cgroups: sampled each second.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# No database: jobs that ended are known for MinJobAge, and have a line each in a file.
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/ended-jobs.txt
MinJobAge=3600
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,bf_continue
SlurmctldTimeout=10
SlurmdTimeout=6
MessageTimeout=5
KillWait=3
ReturnToService=2
# Nodes have what is written here, whatever the machine has.
SlurmdParameters=config_overrides
CONFIGURATION
    for i in "${!NODES[@]}"; do
        echo "NodeName=${NODES[i]} NodeAddr=127.0.0.1 Port=$((PORT + 1 + i)) CPUs=2 RealMemory=2000 State=UNKNOWN"
    done
    local all
    all=$(IFS=, && echo "${NODES[*]}")
    echo "PartitionName=normal Nodes=$all Default=YES DefaultTime=10 MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE"
    echo "PartitionName=urgent Nodes=$all DefaultTime=10 MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF"
}

# ---- daemons

# launch DIR NAME COMMAND...: in the background, of no terminal; DIR/NAME.pid and DIR/NAME.log are its own.
launch() {
    local dir=$1 name=$2
    shift 2
    SLURM_CONF="$dir/slurm.conf" setsid nohup "$@" </dev/null >>"$dir/$name.log" 2>&1 &
    echo $! >"$dir/$name.pid"
}

# runs DIR NAME: whether that process is still the one that was started, by the directory on its command line.
runs() {
    local pid
    pid=$(cat "$1/$2.pid" 2>/dev/null) && grep -qzF "$1/" "/proc/$pid/cmdline" 2>/dev/null
}

gone() {
    ! runs "$1" "$2"
}

# end DIR NAME SIGNAL: and by force if it does not obey.
end() {
    local dir=$1 name=$2 signal=$3 pid
    if runs "$dir" "$name"; then
        pid=$(cat "$dir/$name.pid")
        kill -"$signal" "$pid"
        wait_for 10 gone "$dir" "$name" || kill -KILL "$pid"
        wait_for 5 gone "$dir" "$name" || fail "$name (process $pid) does not end"
    fi
    rm -f "$dir/$name.pid"
}

# The processes of a node are in a namespace of their own, which dies with its first process, and that with `unshare`.
# A slurmd listens at the address of its host's name, which therefore has to have one, in that namespace only.
start_node() {
    local dir=$1 node=$2
    gone "$dir" "$node" || fail "$node runs already"
    launch "$dir" "$node" unshare --pid --fork --kill-child --mount-proc --uts \
        bash -c 'hostname "$1" && mount --bind "$2/hosts" /etc/hosts && exec slurmd -D -N "$1" -f "$2/slurm.conf"' \
        slurmd "$node" "$dir/"
}

kill_node() {
    local dir=$1 node=$2
    runs "$dir" "$node" || fail "$node of $dir does not run"
    end "$dir" "$node" KILL
}

all_idle() {
    [ "$(SLURM_CONF=$1/slurm.conf sinfo --noheader --Node --partition=normal --format=%T | grep -cx idle)" -eq ${#NODES[@]} ]
}

start() {
    local dir=$1 node tool
    for tool in munged slurmctld slurmd sbatch unshare; do
        command -v "$tool" >/dev/null || fail "$tool is not there: apt-get install --no-install-recommends slurm-wlm munge"
    done
    [ "$(id -u)" -eq 0 ] || fail "only root can give each node its own processes: run this with sudo"
    mkdir -p "$dir" && dir=$(readlink -f "$dir") || fail "$dir cannot be made"
    [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty: name a new directory, or delete it"
    [ ${#dir} -le 80 ] || fail "$dir: sockets' paths have at most 107 bytes, choose a shorter one"
    mkdir "$dir/state"
    # Whoever submits has to reach munge's socket.
    chmod 755 "$dir"
    (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
    write_configuration "$dir" >"$dir/slurm.conf"
    (cat /etc/hosts && echo "127.0.0.1 ${NODES[*]}") >"$dir/hosts"
    launch "$dir" munged munged --foreground --num-threads=2 --key-file="$dir/munge.key" --socket="$dir/munge.sock" \
        --pid-file="$dir/munged.daemon-pid" --seed-file="$dir/munged.seed" --log-file="$dir/munged.log" --origin=127.0.0.1
    wait_for 10 test -S "$dir/munge.sock" || give_up "$dir" munged "munged does not answer"
    launch "$dir" slurmctld slurmctld -D -f "$dir/slurm.conf"
    for node in "${NODES[@]}"; do start_node "$dir" "$node"; done
    wait_for 30 all_idle "$dir" || give_up "$dir" slurmctld "the nodes are not idle after 30 s"
    echo "export SLURM_CONF=$dir/slurm.conf"
}

give_up() {
    tail -n 5 "$1/$2.log" >&2
    stop "$1"
    fail "$3: see the logs in $1"
}

stop() {
    local dir node
    dir=$(readlink -f "$1") && [ -f "$dir/slurm.conf" ] || fail "$1 holds no Slurm of this script"
    # The controller first, so that it starts nothing elsewhere.
    end "$dir" slurmctld TERM
    for node in "${NODES[@]}"; do end "$dir" "$node" KILL; done
    end "$dir" munged TERM
}

# of_lab DIR NODE: where DIR really is, once both are known to exist.
of_lab() {
    local dir
    dir=$(readlink -f "$1") && [ -f "$dir/slurm.conf" ] || fail "$1 holds no Slurm of this script"
    grep -q "^NodeName=$2 " "$dir/slurm.conf" || fail "there is no node $2, only ${NODES[*]}"
    echo "$dir"
}

case "${1:-} $#" in
    "start 2") start "$2" ;;
    "stop 2") stop "$2" ;;
    "kill-node 3") dir=$(of_lab "$2" "$3") && kill_node "$dir" "$3" ;;
    "start-node 3") dir=$(of_lab "$2" "$3") && start_node "$dir" "$3" ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$SCRIPT" >&2 && exit 2 ;;
esac

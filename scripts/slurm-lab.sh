#!/usr/bin/env bash
# A Slurm of one machine, for tests: four nodes of two processors that can lose their power one by one, a partition
# that preempts the other, memory limits that are kept, everything on the loopback interface and in one directory.
#
#   apt-get install -y --no-install-recommends slurm-wlm munge      (Debian, Ubuntu; needs no running service)
#
#   scripts/slurm-lab.sh start DIR [--accounting]
#       DIR is new or empty. Waits until all nodes are idle and prints the line to give to a shell:
#       eval "$(scripts/slurm-lab.sh start DIR)"; then sbatch, squeue, ... speak to this Slurm.
#       --accounting: with a database, so that `sacct` answers as it does elsewhere; needs the packages slurmdbd,
#       slurm-wlm-mysql-plugin and mariadb-server too. Without, `sacct` only says that there is none.
#   scripts/slurm-lab.sh kill-node DIR n1
#       The node loses its power: its slurmd and whatever ran on it are gone at once.
#   scripts/slurm-lab.sh start-node DIR n1
#   scripts/slurm-lab.sh stop DIR
#       Ends the daemons that `start` started, and with the nodes their jobs. DIR stays, with its logs.
#   scripts/slurm-lab.sh check [--accounting]
#       Starts one, runs jobs that end in every way that matters, tells what Slurm says of each, stops it; fails if
#       anything is not as expected. Two minutes, because Slurm's shortest time limit is one.
#
# Needs root: a node is a namespace of processes with a host name of its own (unshare). Partitions: `normal` (default)
# and `urgent`, whose jobs requeue those of `normal`. One at a time on a machine. SLURM_LAB_PORT (27817): the first of
# seven ports. Memory limits are kept by cgroups of version 1 (a job is OUT_OF_MEMORY); where there are none, by
# sampling each second (a job is FAILED, killed by signal 9, and its log says why).
set -uo pipefail
SCRIPT=$(readlink -f "$0")
PORT=${SLURM_LAB_PORT:-27817}
NODES=(n1 n2 n3 n4)
DBD_PORT=$((PORT + 5)) DATABASE_PORT=$((PORT + 6))
CGROUPS=/sys/fs/cgroup
ACCOUNTING=no ACCOUNTING_PACKAGES="slurmdbd slurm-wlm-mysql-plugin mariadb-server"
# A package's daemons are not on every user's path.
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "error: $*" >&2
    exit 2
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# ---- what the lab consists of

have_cgroups() {
    [ -w $CGROUPS/memory ] && [ -w $CGROUPS/freezer ]
}

write_cgroup_configuration() {
    cat <<CONFIGURATION
CgroupPlugin=cgroup/v1
CgroupMountpoint=$CGROUPS
ConstrainRAMSpace=yes
CONFIGURATION
}

write_accounting_configuration() {
    local dir=$1
    cat <<CONFIGURATION
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock
CommunicationParameters=NoInAddrAny
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$DBD_PORT
SlurmUser=$(id -un)
PidFile=$dir/slurmdbd.daemon-pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$DATABASE_PORT
StorageUser=root
StorageLoc=accounting
CONFIGURATION
}

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
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
# Jobs that ended are known for MinJobAge, and have a line each in a file.
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
    if have_cgroups; then
        echo TaskPlugin=task/cgroup
        echo ProctrackType=proctrack/cgroup
    else
        echo TaskPlugin=task/none
        echo ProctrackType=proctrack/linuxproc
        echo JobAcctGatherParams=OverMemoryKill
    fi
    if [ "$ACCOUNTING" = yes ]; then
        echo AccountingStorageType=accounting_storage/slurmdbd
        echo AccountingStorageHost=127.0.0.1
        echo "AccountingStoragePort=$DBD_PORT"
        # What this setting means where munge is in use: its socket.
        echo "AccountingStoragePass=$dir/munge.sock"
    else
        echo AccountingStorageType=accounting_storage/none
    fi
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

# runs DIR NAME: whether that process is still the one that was started, by what `launch` put into its environment.
runs() {
    local pid
    pid=$(cat "$1/$2.pid" 2>/dev/null) && grep -qzxF "SLURM_CONF=$1/slurm.conf" "/proc/$pid/environ" 2>/dev/null
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
        bash -c 'hostname "$1" && mount --bind "$2" /etc/hosts && exec slurmd -D -N "$1" -f "$3"' \
        slurmd "$node" "$dir/hosts" "$dir/slurm.conf"
}

kill_node() {
    local dir=$1 node=$2
    runs "$dir" "$node" || fail "$node of $dir does not run"
    end "$dir" "$node" KILL
}

all_idle() {
    local idle
    idle=$(SLURM_CONF=$1/slurm.conf timeout 5 sinfo --noheader --Node --partition=normal --format=%T | grep -cx idle)
    [ "$idle" -eq ${#NODES[@]} ]
}

start() {
    local dir=$1 node tool
    for tool in munged slurmctld slurmd sbatch unshare; do
        command -v "$tool" >/dev/null || fail "$tool is not there: apt-get install --no-install-recommends slurm-wlm munge"
    done
    [ "$(id -u)" -eq 0 ] || fail "only root can give each node its own processes: run this with sudo"
    local port
    for port in $(seq "$PORT" "$DATABASE_PORT"); do
        ! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || fail "port $port is taken: stop the other, or set SLURM_LAB_PORT"
    done
    mkdir -p "$dir" && dir=$(readlink -f "$dir") || fail "$dir cannot be made"
    [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty: name a new directory, or delete it"
    [ ${#dir} -le 80 ] || fail "$dir: sockets' paths have at most 107 bytes, choose a shorter one"
    mkdir "$dir/state"
    # Whoever submits has to reach munge's socket.
    chmod 755 "$dir"
    (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
    write_configuration "$dir" >"$dir/slurm.conf"
    ! have_cgroups || write_cgroup_configuration >"$dir/cgroup.conf"
    (cat /etc/hosts && echo "127.0.0.1 ${NODES[*]}") >"$dir/hosts"
    launch "$dir" munged munged --foreground --num-threads=2 --key-file="$dir/munge.key" --socket="$dir/munge.sock" \
        --pid-file="$dir/munged.daemon-pid" --seed-file="$dir/munged.seed" --log-file="$dir/munged.log" --origin=127.0.0.1
    wait_for 10 test -S "$dir/munge.sock" || give_up "$dir" munged "munged does not answer"
    [ "$ACCOUNTING" = no ] || start_accounting "$dir"
    launch "$dir" slurmctld slurmctld -D -f "$dir/slurm.conf"
    for node in "${NODES[@]}"; do start_node "$dir" "$node"; done
    wait_for 30 all_idle "$dir" || give_up "$dir" slurmctld "the nodes are not idle after 30 s"
    echo "export SLURM_CONF=$dir/slurm.conf"
}

# The database is reached by whoever is on this machine, without a password: it holds what tests did.
start_accounting() {
    local dir=$1
    mariadb-install-db --no-defaults --datadir="$dir/database" --user="$(id -un)" --skip-test-db \
        >"$dir/install-db.log" 2>&1 || give_up "$dir" install-db "the database cannot be made"
    launch "$dir" mariadbd mariadbd --no-defaults --datadir="$dir/database" --socket="$dir/mariadb.sock" \
        --bind-address=127.0.0.1 --port="$DATABASE_PORT" --user="$(id -un)" --skip-grant-tables \
        --innodb-buffer-pool-size=16M --innodb-flush-log-at-trx-commit=0
    wait_for 30 mariadb --no-defaults --socket="$dir/mariadb.sock" --execute="select 1" \
        || give_up "$dir" mariadbd "the database does not answer"
    (umask 077 && write_accounting_configuration "$dir" >"$dir/slurmdbd.conf")
    launch "$dir" slurmdbd slurmdbd -D
    wait_for 30 accounting_answers "$dir" || give_up "$dir" slurmdbd "slurmdbd does not answer"
}

accounting_answers() {
    SLURM_CONF=$1/slurm.conf timeout 5 sacctmgr --noheader list cluster
}

give_up() {
    tail -n 5 "$1/$2.log" >&2
    stop "$1"
    fail "$3: see the logs in $1"
}

stop() {
    local dir node daemon
    dir=$(readlink -f "$1") && [ -f "$dir/slurm.conf" ] || fail "$1 holds no Slurm of this script"
    # The controller first, so that it starts nothing elsewhere.
    end "$dir" slurmctld TERM
    for node in "${NODES[@]}"; do end "$dir" "$node" KILL; done
    for daemon in slurmdbd mariadbd munged; do end "$dir" "$daemon" TERM; done
    if have_cgroups; then
        for node in "${NODES[@]}"; do find $CGROUPS/*/"slurm_$node" -depth -type d -exec rmdir {} + 2>/dev/null; done
    fi
}

# of_lab DIR NODE: where DIR really is, once both are known to exist.
of_lab() {
    local dir
    dir=$(readlink -f "$1") && [ -f "$dir/slurm.conf" ] || fail "$1 holds no Slurm of this script"
    grep -q "^NodeName=$2 " "$dir/slurm.conf" || fail "there is no node $2, only ${NODES[*]}"
    echo "$dir"
}

# ---- the check

# What the jobs do. Signals reach the script's own process, which is bash here: it must not wait in the foreground.
write_jobs() {
    cat <<'JOB'
#!/usr/bin/env bash
note() { echo "$(date -u +%T) $*"; }
trap 'note got USR1' USR1
note "begin $1: ${SLURM_ARRAY_JOB_ID:-}_${SLURM_ARRAY_TASK_ID:-} job $SLURM_JOB_ID on $(hostname), restarted: ${SLURM_RESTART_COUNT:-not set}"
rest() { for ((left = $1; left > 0; left--)); do sleep 1 & wait $!; done; }
case $1 in
    grid) case $SLURM_ARRAY_TASK_ID in
        0) rest 2 ;;
        1) exit 3 ;;
        # Held for seconds, for a limit that is kept by sampling.
        2) { head -c 400M /dev/zero && sleep 5; } | tail -c 1G >/dev/null ;;
        3) rest 300 ;;
        4) kill -SEGV $$ ;;
        5) rest 2 ;;
    esac ;;
    # Long the first time, so that it is certainly interrupted.
    victim | lost | kept) if [ -n "${SLURM_RESTART_COUNT:-}" ]; then rest 2; else rest 90; fi ;;
    urgent) rest 2 ;;
    report) env | grep ^SLURM_ | sort ;;
    bare) env | sort ;;
esac
note end
JOB
}

# submit NAME OPTION...: prints the job's id.
submit() {
    local name=$1
    shift
    sbatch --parsable --job-name="$name" --mem=64 --open-mode=append --output="$JOBS/$name-%A_%a.log" "$@" \
        "$JOBS/job.sh" "$name"
}

# field JOB NAME: of an element's or a job's record.
field() {
    scontrol --oneliner show job "$1" 2>/dev/null | grep -oP "(?<= $2=)[^ ]*" | head -n 1
}

is() {
    [ "$(field "$1" "$2")" = "$3" ]
}

# expect SECONDS JOB FIELD VALUE: within that time.
expect() {
    local result=ok
    if ! wait_for "$1" is "$2" "$3" "$4"; then
        result="NOT AS EXPECTED: $(field "$2" "$3")"
        UNEXPECTED=$((UNEXPECTED + 1))
    fi
    echo "-- $(date -u +%T) job $2: $3=$4: $result"
}

# expect_log TEXT FILE...
expect_log() {
    local text=$1 result=ok
    shift
    grep -qF -- "$text" "$@" || { result="NOT AS EXPECTED" && UNEXPECTED=$((UNEXPECTED + 1)); }
    echo "-- \"$text\" in ${*##*/}: $result"
}

# tell COMMAND...: and what it says.
tell() {
    echo
    echo "\$ $*"
    timeout 10 "$@" 2>&1
}

tell_all() {
    local fields="JobArrayID:|,JobID:|,State:|,Reason:|,exit_code:|,RestartCnt:|,NodeList:|,TimeUsed:"
    tell squeue --states=all
    tell squeue --states=all --array --Format="$fields"
    tell scontrol --oneliner show job
    if command -v jq >/dev/null; then
        echo
        echo "\$ squeue --states=all --json, some keys"
        squeue --states=all --json | jq --compact-output '.jobs[] | {job_id, array_job_id, array_task_id, array_task_string,
            job_state, state_reason, exit_code, restart_cnt, nodes, submit_time, start_time, end_time}'
    fi
    tell sacct --allocations --parsable2 --format=JobID,JobIDRaw,JobName,State,ExitCode,Reason,NodeList,Elapsed,Timelimit,End
    tell sacct --duplicates --parsable2 --format=JobID,State,ExitCode,DerivedExitCode,NodeList,Elapsed,MaxRSS,Start,End
}

check() {
    local lab grid report victim urgent lost kept oom=OUT_OF_MEMORY
    have_cgroups || oom=FAILED
    lab=$(mktemp -d) || fail "no temporary directory"
    lab=$(readlink -f "$lab") JOBS=$lab/jobs UNEXPECTED=0
    # Munge insists on a socket that all users reach.
    chmod 755 "$lab"
    mkdir "$JOBS" && write_jobs >"$JOBS/job.sh"
    start "$lab/slurm"
    trap 'stop "$lab/slurm"' EXIT
    export SLURM_CONF=$lab/slurm/slurm.conf
    tell sbatch --version
    grid=$(submit grid --array=0-5%2 --time=1 --signal=B:USR1@30 --requeue --exclude=n3,n4)
    report=$(submit report --dependency="afterany:$grid" --kill-on-invalid-dep=yes)
    victim=$(submit victim --cpus-per-task=2 --nodelist=n4 --requeue)
    lost=$(submit lost --nodelist=n3 --requeue)
    kept=$(submit kept --nodelist=n3 --no-requeue)
    submit bare --export=NONE --exclude=n3,n4 >/dev/null
    tell squeue
    expect 10 "$victim" JobState RUNNING
    expect 10 "$lost" JobState RUNNING
    expect 10 "$kept" JobState RUNNING
    urgent=$(submit urgent --partition=urgent --cpus-per-task=2 --nodelist=n4)
    kill_node "$lab/slurm" n3
    tell_all
    expect 20 "$urgent" JobState COMPLETED
    expect 30 "$victim" JobState COMPLETED
    expect 1 "$victim" Restarts 1
    expect 60 "$kept" JobState NODE_FAIL
    expect 5 "$lost" Restarts 1
    tell squeue --states=all
    start_node "$lab/slurm" n3
    expect 30 "$lost" JobState COMPLETED
    expect 120 "${grid}_3" JobState TIMEOUT
    expect 1 "${grid}_0" JobState COMPLETED
    expect 1 "${grid}_1" ExitCode 3:0
    expect 1 "${grid}_2" JobState $oom
    expect 1 "${grid}_4" ExitCode 0:11
    expect 10 "$report" JobState COMPLETED
    # The accounting lags behind by a moment.
    sleep 2
    tell_all
    expect_log "got USR1" "$JOBS/grid-${grid}_3.log"
    expect_log "restarted: 1" "$JOBS/victim-${victim}"_*.log
    expect_log "restarted: 1" "$JOBS/lost-${lost}"_*.log
    tell tail -n 99 "$JOBS"/*.log
    [ "$UNEXPECTED" -eq 0 ] || fail "$UNEXPECTED facts are not as expected; see $lab"
    stop "$lab/slurm"
    trap - EXIT
    rm -rf "$lab"
    echo "all as expected, $SECONDS s"
}

accounting() {
    [ "$1" = --accounting ] || fail "unknown argument $1"
    local tool
    for tool in slurmdbd mariadbd mariadb-install-db; do
        command -v "$tool" >/dev/null \
            || fail "$tool is not there: apt-get install --no-install-recommends $ACCOUNTING_PACKAGES"
    done
    ACCOUNTING=yes
}

case "${1:-} $#" in
    "start 2") start "$2" ;;
    "start 3") accounting "$3" && start "$2" ;;
    "stop 2") stop "$2" ;;
    "check 1") check ;;
    "check 2") accounting "$2" && check ;;
    "kill-node 3") dir=$(of_lab "$2" "$3") && kill_node "$dir" "$3" ;;
    "start-node 3") dir=$(of_lab "$2" "$3") && start_node "$dir" "$3" ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$SCRIPT" >&2 && exit 2 ;;
esac

# No process leaves a core file, and none of the memory of processes with keys goes to the disk.
for unit in $(services); do
    [ "$(property "$unit" LimitCORE)" = 0 ] || fail "$unit may leave core files"
    pid=$(process "$unit")
    grep -q '^Max core file size  *0  *0 ' "/proc/$pid/limits" || fail "process $pid of $unit may leave core files"
    group=/sys/fs/cgroup$(cut -d : -f 3 "/proc/$pid/cgroup")
    [ "$(cat "$group/memory.swap.max")" = 0 ] || fail "$unit may be swapped"
    echo "$unit: no core files, no swap"
done

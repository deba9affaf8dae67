# A service that takes more memory than it may is killed by the kernel and back soon, and no other is started again because of it.
starve() {
    local limit most
    limit=/sys/fs/cgroup$(cut -d : -f 3 "/proc/$1/cgroup")/memory.max
    most=$(cat "$limit")
    # The kernel kills before it returns. A unit's next process is in the same control group.
    echo 1M > "$limit"
    [ ! -e "$limit" ] || echo "$most" > "$limit" || true
}
for unit in $(services); do
    kills=$(grep '^oom_kill ' /proc/vmstat)
    recovers "$unit" starve
    [ "$(grep '^oom_kill ' /proc/vmstat)" != "$kills" ] || fail "$unit was not killed for its memory"
done

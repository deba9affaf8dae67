# The exposure that systemd sees, in tenths: at most 20. The agent configures the machine's network and starts as root to give
# its folders to its user. A container's unit is Podman, which needs root on the host: what is inside is seen in `isolation`.
for unit in $(systemctl list-unit-files --no-legend 'maru-*.service' | awk '{ print $1 }'); do
    if [ "$(property "$unit" SourcePath)" != "" ]; then continue; fi
    case $unit in
    maru-agent.service) limit=32 ;;
    *) limit=20 ;;
    esac
    said=$(systemd-analyze security --no-pager --threshold=$limit "$unit" 2>&1) ||
        fail "$(grep '✗' <<< "$said") $(tail -n 1 <<< "$said")"
    tail -n 1 <<< "$said" | sed 's/^[^O]*//'
done

# What the filters of a unit deny. A process of root with every capability tries: without the filters the kernel has other answers
# to these senseless calls, or lets them be. Numbers are those of x86-64.
cat > /run/try.pl <<'END'
my @calls = (
    [acct => 163, "/nowhere"], [bpf => 321, 999, 0, 0], [chmod => 90, "/nowhere", 06755], [chroot => 161, "/nowhere"],
    [clock_adjtime => 305, 0, 0], [delete_module => 176, "nowhere", 0], [fanotify_init => 300, 0x7fffffff, 0],
    [iopl => 172, 9], [mmap => 9, 0, 4096, 7, 0x22, -1, 0], [modify_ldt => 154, 99, 0, 0],
    [mount => 165, "nowhere", "/nowhere", "tmpfs", 0, 0], [perf_event_open => 298, 0, 0, 0, 0, 0], [personality => 135, 8],
    [ptrace => 101, 16, 0x3fffffff, 0, 0], [reboot => 169, 0, 0, 0, 0], [sched_setscheduler => 144, 0, 1, pack("i", 1)],
    [socket => 41, 17, 3, 0], [swapon => 167, "/nowhere", 0], [sysfs => 139, 99], [umount2 => 166, "/", 0x8000000],
    [unshare => 272, 0x40000000],
);
for (@calls) {
    my ($name, @call) = @$_;
    print "$name ", syscall(shift(@call), @call) == -1 ? $! + 0 : 0, "\n";
}
END
free=$(perl /run/try.pl)
! grep ' 1$' <<< "$free" || fail "the kernel denies that by itself"
filters=()
while read -r line; do filters+=("--property=$line"); done < <(systemctl cat maru-coordinator.service |
    grep -E '^(SystemCall|Restrict|LockPersonality|MemoryDenyWriteExecute)')
filtered=$(systemd-run --quiet --wait --pipe "${filters[@]}" perl /run/try.pl) || fail "the filters let nothing run"
# EPERM; EAFNOSUPPORT for a socket; EACCES, by the kernel itself, for memory that is written and run.
allowed=$(grep -v -E ' 1$|^socket 97$|^mmap 13$' <<< "$filtered" || true)
[ -z "$allowed" ] || fail "allowed: $(xargs <<< "$allowed")"
[ "$(wc -l <<< "$filtered")" = "$(wc -l <<< "$free")" ] || fail "not all was tried: $(xargs <<< "$filtered")"
rm /run/try.pl
echo "the filters deny $(cut -d ' ' -f 1 <<< "$filtered" | xargs)"

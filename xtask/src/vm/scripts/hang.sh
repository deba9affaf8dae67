# A daemon that hangs is killed by systemd's watchdog and comes back, and no other is started again because of it.
watched() { [ "$(property "$1" WatchdogUSec)" != 0 ] && ! container "$1" > /dev/null; }
[ "$(property maru-coordinator.service Type)" = notify ] || fail "maru-coordinator does not say when it is ready"
for unit in $(services); do
    watched "$unit" || continue
    before=$(property "$unit" InvocationID)
    others=$(invocations "$unit")
    kill -STOP "$(process "$unit")"
    hung=$(cut -d . -f 1 /proc/uptime)
    within 120 back "$unit" "$before" || fail "$unit does not come back"
    seconds=$(($(property "$unit" ActiveEnterTimestampMonotonic) / 1000000 - hung))
    journalctl --no-pager --unit="$unit" --grep='Watchdog timeout' --quiet | grep --quiet . || fail "$unit was not killed by the watchdog"
    # Eight seconds of silence, one of pause. An emulated processor is many times slower than a real one.
    [ $seconds -le 40 ] || fail "$unit took $seconds s"
    [ "$(invocations "$unit")" = "$others" ] || fail "with $unit others were started again"
    echo "$unit: back after $seconds s"
done

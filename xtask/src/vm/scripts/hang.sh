# A daemon that hangs is killed by systemd's watchdog (eight seconds of silence, one of pause) and comes back, and no other is
# started again because of it.
watched() { [ "$(property "$1" WatchdogUSec)" != 0 ] && ! container "$1" > /dev/null; }
[ "$(property maru-coordinator.service Type)" = notify ] || fail "maru-coordinator does not say when it is ready"
for unit in $(services); do
    watched "$unit" || continue
    recovers "$unit" STOP
    journalctl --no-pager --unit="$unit" --grep='Watchdog timeout' --quiet | grep --quiet . || fail "$unit was not killed by the watchdog"
done

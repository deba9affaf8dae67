# A service that hangs is killed and comes back, and no other is started again because of it: a daemon by systemd's watchdog
# (eight seconds of silence, one of pause), a container by maru-watch (three questions of two seconds each).
[ "$(property maru-coordinator.service Type)" = notify ] || fail "maru-coordinator does not say when it is ready"
for unit in $(services); do
    if container "$unit" > /dev/null; then
        by=maru-watch.service why="$unit has not answered"
    else
        by=$unit why='Watchdog timeout'
    fi
    recovers "$unit" kill -STOP
    journalctl --no-pager --unit="$by" --grep="$why" --quiet | grep --quiet . || fail "$unit was not killed by $by"
done

# Before the machine started anew, every service ended by itself: systemd kills a daemon after ten seconds (TimeoutStopSec), and
# then the agent's clean-up, whose seconds come on top.
before() { journalctl --boot=-1 --no-pager --identifier=systemd "$@"; }
stamp() { before --output=short-unix --grep="$1" | tail -n 1 | cut -d . -f 1; }
begin=$(stamp '^Stopping maru-coordinator')
[ -n "$begin" ] || fail "the journal says nothing of the end of services"
! before --since="@$begin" --grep='^maru-.*(timed out|SIGKILL)' || fail "services did not end by themselves"
for unit in $(services); do
    seconds=$(($(stamp "^Stopped $unit") - begin))
    # Podman takes most of a container's time. An emulated processor is many times slower than a real one.
    if container "$unit" > /dev/null; then limit=90; else limit=20; fi
    [ $seconds -le $limit ] || fail "$unit took $seconds s to stop"
    echo "$unit: stopped within $seconds s"
done

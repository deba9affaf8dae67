# A service whose process is killed is back within ten seconds, and no other is started again because of it. Neither is what takes
# an update back: it would take back one that goes on.
upgrade=$(property maru-upgrade.service InvocationID)
[ "$(property maru-upgrade.service ActiveState)" = active ] || fail "maru-upgrade.service is not active"
for unit in $(services); do
    recovers "$unit" kill -KILL
done
[ "$(property maru-upgrade.service InvocationID)" = "$upgrade" ] || fail "maru-upgrade.service was started again"

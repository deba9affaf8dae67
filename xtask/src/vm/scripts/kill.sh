# A service whose process is killed is back within ten seconds, and no other is started again because of it.
for unit in $(services); do
    before=$(property "$unit" InvocationID)
    others=$(invocations "$unit")
    kill -KILL "$(process "$unit")"
    killed=$(cut -d . -f 1 /proc/uptime)
    within 120 back "$unit" "$before" || fail "$unit does not come back"
    seconds=$(($(property "$unit" ActiveEnterTimestampMonotonic) / 1000000 - killed))
    # An emulated processor is many times slower than a real one.
    [ $seconds -le 40 ] || fail "$unit took $seconds s"
    [ "$(invocations "$unit")" = "$others" ] || fail "with $unit others were started again: $(diff <(echo "$others") <(invocations "$unit") | xargs)"
    echo "$unit: back after $seconds s"
done

# The agent's interface is the same after a restart and after a crash, and goes when the agent is stopped.
interface() { ip -o link show maru0 2> /dev/null | cut -d : -f 1; }
agent=maru-agent.service
index=$(interface)
[ -n "$index" ] || fail "there is no interface"
addresses=$(ip -o address show maru0)
systemctl restart $agent
[ "$(interface)" = "$index" ] || fail "a restart made another interface"
before=$(property $agent InvocationID)
kill -KILL "$(process $agent)"
within 120 back $agent "$before" || fail "the agent does not come back"
[ "$(interface)" = "$index" ] || fail "a crash made another interface"
[ "$(ip -o address show maru0)" = "$addresses" ] || fail "the addresses are others"
systemctl stop $agent
[ -z "$(interface)" ] || fail "a stop leaves the interface"
! nft list tables | grep --quiet maru || fail "a stop leaves the table"
systemctl start $agent
echo "the interface outlives the agent, and goes when it is stopped"

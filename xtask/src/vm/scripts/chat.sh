# Somebody's laptop, which is a namespace of networks here, joins and gets a reply.
begin=$SECONDS
laptop() { ip netns exec laptop "$@"; }
away() {
    [ -z "${agent:-}" ] || kill "$agent" || true
    wait
    ip netns delete laptop || true
    rm -rf /srv/laptop /etc/netns/laptop
}
trap away EXIT
mkdir -p /srv/laptop /etc/netns/laptop
echo 'nameserver 10.9.0.1' > /etc/netns/laptop/resolv.conf
ip netns add laptop
ip link add cable type veth peer name wired netns laptop
ip address add 10.9.0.1/24 dev cable
ip link set cable up
laptop ip address add 10.9.0.2/24 dev wired
laptop ip link set lo up
laptop ip link set wired up
laptop ip route add default via 10.9.0.1

ip netns exec laptop maru-agent --root /srv/laptop > /srv/laptop/log 2>&1 &
agent=$!
listens() { ls /srv/laptop/run/maru/agent/*.sock > /dev/null 2>&1; }
within 60 listens || { cat /srv/laptop/log; fail "the laptop's agent does not start"; }
invitation=$(maru invite kim --approved --force 2> /dev/null | grep --only-matching 'maru://[^ ]*' | head -n 1)
laptop maru --root /srv/laptop join "$invitation" > /srv/laptop/join 2>&1 ||
    { cat /srv/laptop/join /srv/laptop/log; fail "the laptop does not join"; }
chat() { laptop maru --root /srv/laptop chat --temporary 'Say hello.' > /srv/laptop/reply 2>&1; }
within 120 chat || { cat /srv/laptop/reply; tail -n 20 /srv/laptop/log; fail "there is no reply"; }
[ -s /srv/laptop/reply ] || fail "the reply is empty"
echo "a laptop joined and had its reply within $((SECONDS - begin)) s: $(tr '\n' ' ' < /srv/laptop/reply | cut -c 1-80)"

# A phone that has only the kernel's WireGuard, which is a namespace of networks here, asks the AI and changes its network.
phone() { ip netns exec phone "$@"; }
away() {
    [ $? = 0 ] || journalctl --unit=maru-agent --lines=40 --no-pager
    maru wireguard remove phone > /dev/null 2>&1 || true
    ip netns delete phone || true
    rm -rf /srv/phone /etc/netns/phone
}
trap away EXIT
mkdir -p /srv/phone /etc/netns/phone
ip netns add phone
for network in 1 2; do
    ip link add "cable$network" type veth peer name "way$network" netns phone
    ip address add "10.9.$network.1/24" dev "cable$network"
    ip link set "cable$network" up
    phone ip address add "10.9.$network.2/24" dev "way$network"
done
phone ip link set lo up
phone ip link set way1 up
phone ip route add default via 10.9.1.1

maru wireguard add phone --user kim > /srv/phone/printed
speaks() { maru status -o json | tr -d ' \n' | grep --quiet '"kind":"kernel"'; }
within 60 speaks || fail "the kernel does not speak WireGuard with devices: $(maru status)"
grep -E '^(\[|[A-Za-z]+ = )' /srv/phone/printed | grep -v '^DNS' > /srv/phone/wg0.conf
sed -n 's/^DNS = \([0-9.]*\).*/nameserver \1/p' /srv/phone/printed > /etc/netns/phone/resolv.conf
phone wg-quick up /srv/phone/wg0.conf > /srv/phone/up 2>&1 || { cat /srv/phone/up; fail "wg-quick does not start"; }
! grep --quiet userspace /srv/phone/up || fail "the phone has no WireGuard of the kernel"
name=chat.maru.home.arpa
knows() { phone getent hosts $name > /srv/phone/hosts; }
within 60 knows || fail "the phone does not find $name"

# One connection, over which it asks twice; between them it changes its network.
cat > /srv/phone/ask.sh <<'END'
exec 3<> "/dev/tcp/$1/18789"
health() {
    printf 'GET /healthz HTTP/1.1\r\nHost: %s:18789\r\n\r\n' "$1" >&3
    IFS= read -r -t 60 status <&3 && echo "$status"
    while IFS= read -r -t 60 line <&3 && [ "$line" != $'\r' ]; do
        case ${line,,} in content-length:*) length=$(tr -dc 0-9 <<< "$line") ;; esac
    done
    head -c "${length:-0}" <&3 > /dev/null
}
health "$1"
touch /srv/phone/asked
until [ -e /srv/phone/moved ]; do sleep 0.2; done
health "$1"
END
phone bash /srv/phone/ask.sh $name > /srv/phone/answers 2>&1 &
asking=$!
asked() { [ -e /srv/phone/asked ]; }
within 60 asked || fail "the gateway does not answer: $(cat /srv/phone/answers)"
phone ip link set way1 down
phone ip link set way2 up
phone ip route add default via 10.9.2.1
touch /srv/phone/moved
wait $asking || true
[ "$(grep -c '^HTTP/1.1 200' /srv/phone/answers)" = 2 ] || fail "the connection did not go on: $(cat /srv/phone/answers)"
heard() { maru status -o json | grep --quiet '10.9.2.2:'; }
within 60 heard || fail "home does not know where the phone is"

systemctl restart maru-agent
again() { rm -f /srv/phone/asked; phone timeout 20 bash /srv/phone/ask.sh $name 2> /dev/null | grep --quiet -c '^HTTP/1.1 200'; }
within 120 again || fail "after a restart of the agent the phone needs another scan"
maru wireguard remove phone
! again || fail "the phone was removed, and asks"
echo "a phone with the kernel's WireGuard asked, moved and went on"

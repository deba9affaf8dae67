# Events are in the journal with their fields, a failed start is found there, and nothing of it is what people say, or a key.
entries() { journalctl --boot --no-pager --all "$@"; }
values() { entries --output=cat --output-fields="$1" "${@:2}"; }

# The coordinator and the agent speak to the journal themselves; what a container says comes from Podman, line by line.
for unit in maru-coordinator maru-agent; do
    values SYSLOG_IDENTIFIER --unit=$unit _TRANSPORT=journal | grep -qx $unit || fail "$unit writes no entries"
done
entries --unit=maru-coordinator --output=json | grep -q '"NODE":"' || fail "no entry of the coordinator has a field of its own"
entries --unit=maru-gateway --output=json | grep -q '"CONTAINER_ID":' || fail "the gateway's lines are not there"
for name in $(podman ps --format '{{.Names}}'); do
    ! podman inspect --format '{{range .Mounts}}{{.Source}} {{end}}' "$name" | grep -q systemd || fail "$name has the journal's socket"
done

# A program of this machine asks the model; then the whole journal is searched for what it said, and for its key.
cp -p /etc/maru/agent.toml /var/tmp/agent.toml
trap 'cp -p /var/tmp/agent.toml /etc/maru/agent.toml; systemctl restart maru-agent; maru app remove canary > /dev/null' EXIT
sed -i 's/^# local = /local = /' /etc/maru/agent.toml
systemctl restart maru-agent
key=$(maru app add canary | grep -o '[A-Za-z0-9_-]\{32,\}' | tail -n 1)
canary=quince-$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')-canary
body='{"model":"default","max_tokens":4,"messages":[{"role":"user","content":"'$canary'"}]}'
ask() {
    exec 3<> /dev/tcp/127.0.0.1/18789 || return 1
    printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:18789\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %s\r\n\r\n%s' \
        "$key" ${#body} "$body" >&3
    answer=$(cat <&3)
    exec 3>&-
    grep -q '"choices"' <<< "$answer"
}
within 120 ask 2> /dev/null || fail "the chat was not answered: $answer"
journalctl --sync
holds() { journalctl --no-pager --all --output=export | grep -qaF -e "$1"; }
for secret in "$canary" "${key: -24}"; do
    for form in "$secret" "$(printf %s "$secret" | base64 -w 0 | cut -c 1-28)" "$(printf %s "$secret" | od -An -v -tx1 | tr -d ' \n')"; do
        ! holds "$form" || fail "the journal holds $form"
    done
done
logger planted-"$canary"
journalctl --sync
holds planted-"$canary" || fail "the search does not find what is there"

# A start that fails is said with its priority; `maru doctor` and `maru log` name it.
cp -p /etc/maru/coordinator.toml /var/tmp/coordinator.toml
before=$(date '+%F %T')
echo 'nonsense = true' >> /etc/maru/coordinator.toml
systemctl restart maru-coordinator || true
failed() { entries --output=cat --since="$before" --unit=maru-coordinator --priority=err | grep -q nonsense; }
within 60 failed || fail "the failed start is not said with priority 3"
cp -p /var/tmp/coordinator.toml /etc/maru/coordinator.toml
systemctl restart maru-coordinator
{ maru doctor || true; } | grep '^failures.*maru-coordinator' || fail "maru doctor does not name the failed start"
maru log --daemon coordinator --priority error -o json | grep -q nonsense || fail "maru log does not name it"
maru log --daemon gateway | grep -q '  gateway  INFO ' || fail "maru log does not know the level of a container's line"
# What a service does is in the journal under the id of its request.
maru api-key create journal > /dev/null
maru api-key remove journal
journalctl --sync
entries --unit=maru-coordinator --output=json | grep -q '"REQUEST":"[0-9a-f]\{16\}"' || fail "no entry of the coordinator names its request"

# A container that floods its log: journald counts what it says as its unit's and drops the rest. It writes to the pipe that Podman
# reads, as the program in it does.
before=$(date '+%F %T')
began=$SECONDS
seq 30000 | sed 's/^/flood /' > "/proc/$(process maru-gateway.service)/fd/2"
logger -t beside "still heard"
journalctl --sync
count=$(entries --output=cat --since="$before" --unit=maru-gateway | grep -c '^flood ')
# So many in each half minute, of which journald makes up to six times as many while there is room on the disk.
most=$((7000 * ((SECONDS - began) / 30 + 1)))
[ "$count" -ge 1000 ] && [ "$count" -le $most ] && [ "$count" -lt 30000 ] || fail "$count lines of 30000 are in the journal"
entries --output=cat --since="$before" --unit=systemd-journald | grep -q '^Suppressed .* messages from maru-gateway.service' || fail "the journal does not say that it dropped lines"
entries --output=cat --since="$before" --identifier=beside | grep -q heard || fail "another service was not heard"
echo "of 30000 lines of a container $count are in the journal"
echo "events have fields, and what was asked is not in the journal"

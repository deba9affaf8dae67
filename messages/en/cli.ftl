# What `maru` prints. A `|` separates the heads of a table, or the labels of a thing's rows.

yes = yes
no = no
never = never

## cli/src/command_line.rs: in English what clap says
usage-error = error: { $problem }
usage-tip = {"  "}tip: { $tip }
usage = Usage: { $usage }
usage-help = For more information, try '--help'.
unknown-argument = unexpected argument '{ $argument }' found
unknown-command = unrecognized subcommand '{ $command }'
arguments-missing = the following required arguments were not provided:{ $arguments }
argument-repeated = the argument '{ $argument }' cannot be used multiple times
arguments-conflict = the argument '{ $argument }' cannot be used with '{ $other }'
arguments-conflict-all = the argument '{ $argument }' cannot be used with:{ $others }
value-missing = a value is required for '{ $argument }' but none was supplied
value-missing-of =
    a value is required for '{ $argument }' but none was supplied
    {"  "}[possible values: { $values }]
value-not-of =
    invalid value '{ $value }' for '{ $argument }'
    {"  "}[possible values: { $values }]
value-wrong = invalid value '{ $value }' for '{ $argument }': { $reason }
value-too-many = unexpected value '{ $value }' for '{ $argument }' found; no more were expected
similar-argument = a similar argument exists: { $names }
similar-command = a similar subcommand exists: { $names }
similar-commands = some similar subcommands exist: { $names }
similar-value = a similar value exists: { $names }

## cli/src/client.rs
coordinator-away = the coordinator is not running here; start Maru (`sudo systemctl start maru.target` or `sudo maru up`), run this command on the home machine, or name its address with --server URL
agent-away = the agent is not running here; start it with `sudo systemctl start maru-agent`, or with `sudo maru-agent` in another terminal
gateway-away = the gateway is not running here; start Maru (`sudo systemctl start maru.target` or `sudo maru up`), or run this command on the home machine
telmeet-away = telmeet is not running here; start Maru (`sudo systemctl start maru.target` or `sudo maru up`), or run this command on the home machine
participant-away = the participant is not running here; start Maru (`sudo systemctl start maru.target` or `sudo maru up`), or run this command on the home machine
up-away = `maru up` is not running here; start it with `sudo maru up`
api-key-unsendable = the API key cannot be sent
no-https-client = cannot make an HTTPS client
strange-answer = { $daemon } answered { $status }; { $advice }
try-again-in = { $problem }; try again in { $seconds } s
other-version = the answer is of another version of Maru; update both
coordinator-version = the coordinator at { $server } is version { $other }, and this is version { $version }: update the older one
not-a-coordinator = { $server } does not answer as a coordinator does; { $advice }
restart-daemon = restart the daemon behind it
check-server-address = check that the address is the coordinator's
no-answer-at = no answer at { $daemon }
certificate-untrusted = the certificate of { $server } is not trusted ({ $tls }): name the authority behind it with --ca FILE
no-https-there = { $server } does not use HTTPS ({ $tls }): set [tls] in its coordinator.toml, or use the address of the proxy before it
cannot-reach = cannot reach { $server } ({ $cause }): check that the address is right and the coordinator runs
root-only = only root may do this; run the same command with sudo

## cli/src/coordinator.rs
api-key-over-http = an API key is never sent over plain HTTP: the address begins with https://
needs-server = --api-key-file and --ca need --server URL
key-variable-unusable = { $key_variable } cannot be used
no-api-key-file = there is no API key for the coordinator: name a file with --api-key-file
no-api-key = there is no API key for the coordinator: create one on the home machine with `sudo maru api-key create NAME` and put it into { $path } here, or name its file with --api-key-file
file-unusable = { $path } cannot be used
not-an-api-key = it holds no API key, which begins with { $prefix }

## cli/src/secret_file.rs
file-unreadable = { $path } cannot be read: check its name
secret-readable = others may read the { $what } in { $path }: run chmod 600 on it, and create another one if they may have read it
not-a-secret = it holds no { $what }, which is one word of ASCII

## cli/src/duration.rs
not-a-duration = write numbers with units, such as 90d or 1h30m

## cli/src/number.rs
not-in-range = write a number from { $first } to { $last }

## cli/src/route.rs
not-a-route = a route is a prefix, such as 192.168.1.0/24, or "{ $exit }"
routes-waiting = { $waiting } waiting: maru route approve DEVICE ROUTE, or reject DEVICE ROUTE

## cli/src/policy.rs
policy-acceptable = the policy would be accepted
correct-policy = nothing was changed: correct the policy, then set it again
policy-not-confirmed = nothing was changed; --yes sets it without asking
nothing-changed = nothing was changed
policy-in-force = the policy is in force
refused-advice = { $why }; { $advice }
put-in-force = Put it in force? [y/N]
no-confirmation = cannot read the answer
no-port = "{ $text }" has no port: write DST:PORT, such as server:22 or [fd7a:115c:a1e0::1]:22
no-standard-input = cannot read standard input
file-not-read = cannot read { $path }

## cli/src/policy/show.rs
policy-warning = warning: { $place }: { $reason }
no-policy-tests = the policy has no tests
no-rule = no rule allows it
policy-place = line { $line }, column { $column }: { $place }

## cli/src/audit.rs
audit-no-dial = there is no dial: what people say to the AI stays in the containers of this machine
audit-server = a server may pass on what it reads; Maru cannot detect this
audit-relay = a relay learns this home's address, and its gateway learns which node is asked: if one operator runs both, that operator can tell who asks
audit-rooms = rooms: root of this machine can read who is in which room, who sends when and how much, and the names of people and rooms
audit-rooms-plain = { $plain } of { $rooms } rooms are not encrypted by the apps: root and telmeet can read what is said there, see `maru rooms list`
audit-rooms-unknown = how many rooms are not encrypted is not known: { $error }
audit-tpm = what a node's TPM computes crosses its bus unencrypted: anybody who can read that bus, at the machine, can open what the node is asked
audit-key-file = conversations: the machine's key is in { $path } without a passphrase: root, and a thief of this disk unless it is encrypted, can read what was said; seal it with `sudo maru passphrase set`
audit-key-passphrase = conversations: the machine's key is sealed under a passphrase: a thief of this disk learns how many conversations there are, when they were written and how long they are, and can try passphrases
audit-key-tpm = conversations: this machine's TPM seals the machine's key: a thief of this disk without the machine learns how many conversations there are, when they were written and how long they are, and can try passphrases; a thief of the whole machine can start it and read them
audit-key-host = conversations: systemd's host key, which is on the same disk, seals the machine's key: root, and a thief of this disk unless it is encrypted, can read what was said; this machine has no TPM that could prevent it, `sudo maru passphrase set` does
audit-key-none = conversations: this machine has no key yet; `maru up` makes one
audit-key-unknown = conversations: what protects the machine's key is not known: { $error }
audit-key-backup = conversations: no backup holds the machine's key: a thief of a backup learns how many there are, when they were written and how long they are, and reads those of a person whose recovery code they have, too
audit-workspace = workspace: files in it, also those that somebody put below people/, are not sealed: a thief of this disk or of a backup can read them

## cli/src/user.rs
user-created = created { $name }
user-renamed = renamed { $name } { $new }
policy-names-old = the policy still names { $name }, a user that no longer exists: correct it with `maru policy set`
policy-names-new = the policy names { $new }: its rules now apply to this user
user-removed = removed { $name }
user-unknown = there is no person { $name }: see `maru user list`; give user:N for a person who was removed
user-forget-asks = The conversations, memory, device keys and usage that the gateway keeps of { $name } will be deleted, and nobody can bring them back. Delete them? [y/N]
user-forget-needs-yes = there is no terminal to ask at, so nothing was deleted: give --yes
user-not-forgotten = nothing of { $name } was deleted
user-forgotten = deleted of { $name }: { $conversations } conversations and their keys, memory, { $device_keys } device keys, usage of { $usage_days } days
user-forgotten-not = Not deleted: backups that were made before, rooms and what { $name } wrote there, and the account. An approved device may begin new conversations; see `maru device list` and `maru user remove`.

## cli/src/machine_key
remedy-machine-key = copy it from the machine where the conversations were kept; or move it away to start with a new key, with which only recovery codes open them
machine-key-damaged = var/lib/maru/machine-key.json is damaged: copy it from the machine where it was made
machine-key-new = a new key of this machine was made, which does not open the conversations that are stored here: copy the former key to { $path }, or let each person open theirs with a recovery code (`maru chat --recover`)
machine-key-made-meanwhile = another `maru` has just made the machine's key; try again
machine-key-not-overwritten = the machine's key is stored, but the former file could not be overwritten: what it held may still be on the disk
machine-key-not-handed-over = cannot hand the machine's key to the gateway in { $path }
machine-key-not-bound = systemd-creds does not open what it has just sealed; nothing was changed
machine-key-closed = this machine no longer opens its key ({ $error }), so it needs the passphrase: run `sudo maru passphrase unlock`, then `sudo maru passphrase seal`; nothing was deleted
machine-key-without-tpm = this machine's TPM does not seal its key, which is in a file instead ({ $error }): when that is repaired, run `sudo maru passphrase seal`
creds-not-run = systemd-creds, a program of systemd, cannot be run
creds-failed = systemd-creds: { $said }

## cli/src/passphrase
passphrase = passphrase
passphrase-ask = Passphrase of this machine's key
passphrase-ask-new = New passphrase of this machine's key
passphrase-ask-again = The new passphrase again
passphrase-needed = this machine's key has a passphrase, and there is no terminal to ask at: give --passphrase-file
passphrase-wrong = this is not the passphrase of this machine's key; nothing was changed
passphrase-short = a passphrase has at least { $min } characters: whoever has this disk can try many of them; nothing was changed
passphrases-differ = the two passphrases differ; nothing was changed
passphrase-set = The machine's key is sealed under this passphrase. The next start of `maru up` needs it.
passphrase-lost = Nobody can replace a lost passphrase: then only recovery codes open conversations (`maru chat --recovery-code`).
passphrase-none = This machine has no key yet.
passphrase-removed = The machine's key is in { $path } without a passphrase: root, and whoever takes this disk, can read it.
passphrase-sealed-tpm = This machine's TPM seals the machine's key, which is not on the disk in the clear. The machine starts by itself.
passphrase-sealed-host = systemd's host key seals the machine's key: a copy of /var/lib/maru alone does not open conversations any more. It is on the same disk, whose thief still opens them. The machine starts by itself.
passphrase-made = If this machine does not open its key any more, only this passphrase does. Write it down and keep it apart from this machine; it is not shown again. `sudo maru passphrase set` sets another one.
stdin-unreadable = cannot read standard input

## cli/src/app.rs
app-removed = removed { $name }
app-address = The key is shown only once. OpenAI's clients use it with http://{ $address }/v1, Ollama's with http://{ $address } as a Bearer token.
app-no-address = The key is shown only once. No program of this machine reaches the gateway yet: add local = ["127.0.0.1:{ $port }"] to its [[service]] in etc/maru/agent.toml, then restart Maru.

## cli/src/api_key.rs
api-key-removed = removed { $id } { $name }

## cli/src/key.rs
key-expired = expired { $id }
key-removed = removed { $id }

## cli/src/fingerprint.rs
not-a-fingerprint = a fingerprint is eight groups of four digits and letters a to f, such as 0123-4567-89ab-cdef-…

## cli/src/join.rs
one-standard-input = standard input can hold only one of the two: name the key's file with --key-file FILE
coordinator-silent = the coordinator does not answer
agent-tries-on = { $problem }; the agent keeps trying, and `maru status` shows its progress
not-pem = { $path } is not PEM
standard-input-unusable = standard input cannot be used
standard-input-no-text = standard input is not text
invitation-has-key = the invitation already holds a key; leave out --key and --key-file

## invitations
invitation-use = For one device of { $user }, until { $expires }. There: sudo maru join -, then paste it. Whoever has the invitation can join with it: send it to nobody else.
invitation-other-apps = For other apps than Maru's own: { $gap }. `maru doctor` says what to do.
invitation-link = On a phone or another computer: open the link, or point the camera at the code.
apps-plain = over plain HTTP, a stock Tailscale app that loses its connection tries port 443 within two minutes, where nothing listens; and phones need HTTPS with a public certificate on port 443
apps-plain-inside = phones need HTTPS with a public certificate on port 443, and this is plain HTTP
apps-port = phones need a public certificate on port 443, and this is port { $port }
apps-set-tls = set [tls] and an https:// `server_url` in etc/maru/coordinator.toml (docs/configuration.md)
apps-set-port = let your router lead port 443 to `listen`, and leave the port out of `server_url`

## join, leave
left = This device has left the network.
joined = This device is { $name }.{ $network }. The coordinator sets names below { $network } and no others. Next: maru chat
joined-without-names = This device is { $name }; the network has no names. Next: maru chat
waiting-for-approval =
    Waiting for the admin's approval. On the home machine: maru device list, then maru device approve { $device }. { $page }
    Once this device is approved, maru status says below which domain the network's names are.
paste-invitation = Paste the invitation, then press Enter twice.
paste-key = Paste the key, then press Enter.
pre-auth-key = pre-auth key
api-key = API key

## maru up: once everything runs
guide =
    Maru runs. Network { $network }, coordinator { $server_url }. Devices: { $members }, waiting for approval: { $waiting }.
    Fingerprint of the AI gateway: { $gateway }
guide-invite = an invitation with which a device of NAME joins
guide-list = who is there, and who waits
guide-approve = let one in
guide-chat = on a device that joined: talk with the AI
guide-end = Ctrl-C stops everything.

## chat: the gateway's identity
gateway-changed = the AI gateway of { $network } has another identity than before; nothing was sent. Known: { $known }; offered now: { $offered }. If it was set up anew, ask the admin for the fingerprint that `maru up` shows at home, and only if it is the one that is offered now, go on with `maru chat --accept-identity { $offered }`
gateway-not-offered = the gateway that the network offers now has the fingerprint { $offered }, not { $accepted }; nothing was accepted and nothing was sent

## devices
device-heads = ID | NAME | HOSTNAME | STATE | USER | TAGS | ADDRESS | ONLINE | LAST SEEN
device-waiting-heads = WAITING | CODE | HOSTNAME | SYSTEM | FROM | KEY | USER | TAGS
devices-waiting = { $count } waiting: maru device approve CODE, or reject CODE. What a device reports about itself proves nothing: compare the code with the one on its page, or the key.
device-labels = id | name | hostname | system | state | code | asked from | asks for | user | tags | addresses | node key | created | online | last seen | endpoints | key expires | ephemeral | routes
device-state =
    { $state ->
        [pending] pending
        [approved] approved
       *[expired] expired
    }
device-approved = approved { $device }
device-rejected = rejected { $device }
device-renamed = renamed { $device }
device-tagged = tagged { $device }
device-expired = expired { $device }
device-removed = removed { $device }
device-extended = extended until { $until }: { $device }
device-extended-for-ever = the key never expires: { $device }

## status
status-labels = state | problem | network | name | addresses | key expires | coordinator | relay | relayed peers | names by | gateway | gateway's fingerprint | public certificates | routes | WireGuard devices | rooms | AI in rooms | confidential
status-state =
    { $state ->
        [needs_join] needs join
        [joining] joining
        [waiting_for_approval] waiting for approval
        [running] running
        [paused] paused
       *[expired] expired
    }
status-certificate = { $name } until { $ends }
status-no-certificate = { $name }: { $problem }
status-exit-node = exit node { $name }
status-exit-node-no-resolver = exit node { $name }, through which no name of the internet is found: set exit_node_dns in agent.toml
status-no-exit-node = exit node { $name } cannot be used, nothing leaves this machine
status-accepted-route = { $route } by { $node }
status-offered-route = offers { $route }
status-unapproved-route = offers { $route }, not approved
status-unforwarded-route = offers { $route }, but this machine does not forward packets
status-shields-up = shields up
status-wireguard =
    { $kind ->
        [kernel] { $count }, by the kernel, UDP port { $port }
        [userspace] { $count }, by the agent (the kernel has no WireGuard), UDP port { $port }
       *[none] { $count }, nobody listens on UDP port { $port }
    }
status-rooms-answer = { $server } answers
status-rooms-silent = { $server } does not answer
status-ai-device = { $user_id }, device { $device_id }, key { $key }
status-simulated = SIMULATED evidence of { $name } is accepted; it proves nothing
connected = connected
not-connected = not connected
peer-heads = PEER | USER | TAGS | ADDRESS | ONLINE | PATH | HANDSHAKE | RECEIVED | SENT
next-needs-join = This device is in no network: sudo maru join - takes the invitation
next-joining = The coordinator has not answered yet, or the interface is not set up yet.
next-waiting = On the home machine: maru device list, then maru device approve CODE
next-expired = The key has expired: ask for an invitation, then run sudo maru join -
next-paused = This device is paused: sudo maru resume brings the tunnel up
next-running = This device is a node of the network.

watch-coordinator = coordinator: { $state }
watch-relay = relay { $name }: { $state }
watch-peer =
    { $online ->
        [yes] { $name }: online, { $path }
        [no] { $name }: offline, { $path }
       *[unknown] { $name }: { $path }
    }
watch-gone = { $name }: gone

## ping, whois, pause
ping-answer = { $name } ({ $address }) answers in { $ms } ms, { $path }
ping-relayed = { $name } ({ $address }) answers in { $ms } ms, by the relay { $relay }
ping-not-direct = no direct answer of { $name }: maru doctor says why, as far as it can tell
whois-labels = name | user | tags | addresses | online | id | this device
paused = paused: the tunnel is down, and nobody in the network reaches this device until sudo maru resume
resumed = resumed: the tunnel is up, and maru status shows when the network answers

## tables of the admin's other commands
app-heads = NAME | CREATED | LAST USED
app-labels = name | key | created
api-key-heads = ID | NAME | MAY | STATE | CREATED | EXPIRES
api-key-labels = id | name | key | may | expires
api-key-may =
    { $access ->
        [admin] administer
       *[read] read
    }
key-heads = ID | USER | TAGS | STATE | USES | REUSABLE | APPROVED | EXPIRES
key-labels = id | key | expires
key-state =
    { $state ->
        [valid] valid
        [used] used
       *[expired] expired
    }
user-heads = ID | NAME | DEVICES | CREATED
route-heads = DEVICE | NAME | ROUTE | STATE | OFFERED | IN USE | PROBLEM
route-state =
    { $state ->
        [waiting] waiting
        [approved] approved
        [approved_by_policy] approved by the policy
        [rejected] rejected
       *[unusable] unusable
    }
route-problem =
    { $reason ->
        [mesh] it overlaps the network's own addresses
        [nowhere] it is a loopback, link-local or multicast range
       *[half_exit] an exit node offers 0.0.0.0/0 and ::/0 together
    }
route-not-offered = not offered now
route-in-use = in use
wireguard-heads = ID | NAME | USER | TAGS | ADDRESS | STATE | ROUTER | HANDSHAKE | FROM | RECEIVED | SENT
wireguard-labels = id | name | state | user | tags | addresses | public key | router | router's key | endpoint | allowed IPs | DNS | full tunnel | keep-alive | created | expires | last handshake | last heard at | bytes received | bytes sent
wireguard-ago = { $ago } ago
wireguard-added = { $name } joins through { $router }: scan the code with the WireGuard app, or import the text. It is shown once: whoever has it can join as this device. Devices elsewhere need the endpoint's UDP port open at home.
wireguard-added-key = { $name } joins through { $router }: complete the text with the private key that belongs to this public key.
wireguard-expired = { $name } has expired and has no access: maru device extend { $name }
wireguard-offered = { $path } has the section [wireguard] now, which homes of older versions lack, and the agent restarts: this machine routes WireGuard devices
wireguard-served = the routers of { $count } WireGuard devices serve them
wireguard-problem =
    { $reason ->
        [router_gone] { $name }: the device that routed it into the network is gone; choose another with maru wireguard rotate { $name } --via DEVICE, and scan the new code
        [router_untagged] { $name }: { $router }, which routes it into the network, has no tag any more; give it one with maru device tag, or choose another with maru wireguard rotate { $name } --via DEVICE
        [not_offered] { $name }: { $router }, which routes it into the network, does not serve WireGuard devices now; there, maru status says why
        [other_key] { $name }: { $router }, which routes it into the network, has another key than this device's configuration; make a new one with maru wireguard rotate { $name }
       *[internet_refused] { $name }: it sends everything through home, but the policy does not let it reach the internet; allow autogroup:internet for it
    }
log-heads = TIME | ACTOR | ACTION | TARGET | DETAILS
usage-heads = DAY | PERSON | REQUESTS | PROMPT TOKENS | REPLY TOKENS
metrics-needs-root = `maru metrics` needs root: only root may read the counters; run it as `sudo maru metrics`
metrics-not-written = cannot write { $path }
policy-same = nothing opens, nothing closes
policy-change-heads = CHANGE | FROM | TO | WHAT
policy-test-heads = RESULT | PLACE | SRC | PROTO | EXPECTED | DST | REASON
policy-decision-heads = FROM | TO | REACHED | RULE | THROUGH
test-passed = ok
test-failed = FAILS
opens = opens
closes = closes
audit-heads = DIAL | LEADS TO | WHERE | WHO CAN READ IT
audit-location =
    { $location ->
        [this-machine] this machine
        [mesh] the mesh
       *[outside] outside
    }
audit-readers-server = the server there
audit-readers-simulated = nodes of { $name }, which show SIMULATED evidence: assume that their operator can, too
audit-readers-tpm = nodes of { $name } that proved what they run, and anybody who can read the bus of their TPM
audit-readers-proved = nodes of { $name } that proved what they run

## cli/src/doctor.rs
nothing-wrong = No problem was found.
no-repair = There is nothing here that can be repaired without risk.
repair-needs-yes = there is no terminal to ask at, so nothing was repaired; give --yes
repair-asks = { $repair }? [y/N]
repair-left = Not done: { $repair }.
repaired = Done: { $repair }.
repair-failed = Failed: { $repair }: { $error }
repair-directories = make the folders of Maru, and set their owners and modes
repair-enable = start { $target } at each boot
repair-restart = restart { $unit }, which does not answer
repair-backup = make a backup now, and verify it
repair-take-back = take the update back that was cut short; nothing else is repaired before

## cli/src/doctor/router.rs
fix-router = forward this port in the router's settings, and set port_mapping = "off" in agent.toml once you have; or allow PCP, NAT-PMP or UPnP there
fix-router-tcp = forward this TCP port to this machine in the router's settings, and let this machine's firewall accept it: devices elsewhere cannot join, or get no relay
fix-router-address = look for a second router between this one and the internet, and forward the port there, too; devices do not use what this router says

## cli/src/netcheck.rs
netcheck-udp = UDP works: a STUN server answered.
netcheck-no-udp = No STUN server answered over UDP: where UDP is blocked, the relay carries everything.
netcheck-udp-unknown = Nobody outside can be asked whether UDP works: the network's only relay is on this machine.
netcheck-address = Others see this device at { $addresses } ({ $family }).
netcheck-no-address = No outer { $family } address is known.
netcheck-varies = The router uses another port for each destination (a hard NAT): some direct connections fail, and the relay carries them.
netcheck-steady = The router uses one port for all destinations, which direct connections need.
netcheck-no-router = No router is asked to forward ports.
router-forwards = The router { $gateway } forwards { $transport } { $outside } to port { $number } of the { $service } until { $until }; asked by { $via ->
        [pcp] PCP
        [nat_pmp] NAT-PMP
       *[upnp] UPnP
    }.
router-forwards-not = The router { $gateway } does not forward { $transport } port { $number } of the { $service }: { $problem }.
router-problem =
    { $problem ->
        [no_protocol] it speaks neither PCP, NAT-PMP nor UPnP
        [refused] it refused
        [taken] another device has this port
        [other_port] it granted { $outside }, which devices do not use
        [not_reached] it says that it forwards { $outside }, but what another member sent there did not arrive
       *[other_address] it names the outer address { $outside }, but others see another one; there may be a second router
    }
netcheck-relay = The relay { $name } answered after { $delay } ms.
netcheck-relay-silent = The relay { $name } did not answer.
netcheck-tcp = A member elsewhere reached TCP { $address }.
netcheck-no-tcp = A member elsewhere did not reach TCP { $address }.
netcheck-endpoint = Peers try { $address }, { $kind ->
        [stun] which a STUN server saw
        [port_mapped] which the router forwards
        [router] the address of the home's router
        [configured] which agent.toml names
       *[local] an address of this machine
    }{ $reached ->
        [yes] ; a member elsewhere reached this device there
        [no] ; what a member elsewhere sent there did not arrive
       *[untried] {""}
    }.

## cli/src/doctor/machine_key.rs
machine-key-in-file = the machine's key, which opens conversations, is in a file that a thief of the disk can read; this machine's TPM can seal it
machine-key-opens = this machine opens its key by itself
machine-key-opens-not = this machine no longer opens its key, which opens conversations: { $error }; it needs the passphrase, which was shown when the key was sealed

## cli/src/doctor/backups.rs
backups-none = there is no daily backup yet
backups-old =
    the newest daily backup was made { NUMBER($days) ->
        [1] 1 day
       *[other] { $days } days
    } ago
backups-fresh = the newest daily backup was made on { $made }
fix-backups = read `journalctl -u maru-backup`, and try `sudo maru backup --verify`; `sudo maru setup --backups DIR` chooses another folder

## cli/src/doctor/coordinators.rs

coordinators-share = { $number } coordinators share the database: { $names }
coordinator-alone = only { $names } serves the shared database: nobody takes its place
fix-coordinator-alone = start another one with the same `[shared]` settings
coordinator-ended = coordinator { $name } serves no longer; its devices go to another
fix-coordinator-ended = on its machine: `journalctl -u maru-coordinator`

## cli/src/doctor/expiry.rs
device-expires =
    the key of the device { $name } expires in { NUMBER($days) ->
        [0] less than a day
        [1] 1 day
       *[other] { $days } days
    }, and then it is no node any more
api-key-expires =
    the API key { $name } expires in { NUMBER($days) ->
        [0] less than a day
        [1] 1 day
       *[other] { $days } days
    }
fix-api-key = if it is still used, create another with `sudo maru api-key create`
key-expires =
    the pre-auth key { $id } expires in { NUMBER($days) ->
        [0] less than a day
        [1] 1 day
       *[other] { $days } days
    }
fix-key = if devices still join with it, create another with `sudo maru key create`
more-expire = { $more } more expire soon
none-expires = no key of the network expires within { $days } days
own-key-expires =
    the key of this device expires in { NUMBER($days) ->
        [0] less than a day
        [1] 1 day
       *[other] { $days } days
    }, and then it is no node any more
fix-own-key = at home: sudo maru device extend, with the name of this device

## cli/src/model.rs
model-copied = { $to } is another name for { $from }

## cli/src/model/args.rs
ollama-option-before-name = { $error }; a model's name stands before --ollama
not-a-sha256 = a SHA-256 has 64 hexadecimal digits

## cli/src/model/disk.rs
room-unknown = cannot determine the free space in { $path }
no-room = there is no room for { $needed } in { $path }: { $free } are free, of which { $reserve } are reserved; remove something, or replace the folder by a link to a larger disk

## cli/src/model/download.rs
download-status = { $host } answered { $status }
download-refused = { $host } answered { $status }; is the URL right?
download-continues = the same command continues from there
download-restarts = the server cannot continue a download, so the same command begins anew
download-cut = { $host } ended early; { $then }
no-http-client = cannot make an HTTP client
host-unreachable = cannot reach { $host }
too-many-redirects = there are too many redirects
redirect-to-plain-http = it redirects to an address without encryption

## cli/src/model/folder.rs
model-name-taken = there is already a { $name }; remove it, or choose another name
folder-not-made = cannot create { $path }; run it with sudo
model-unfinished = not fetched to its end: `maru model pull` goes on with it, `maru model remove` removes it
no-models = there is no model here yet; get one with `maru model pull`
no-such-model = there is no model { $name } here; there are: { $names }
model-in-use = { $name } is in use; choose another one first, with `maru model use`
file-not-removed = cannot remove { $path }; run it with sudo
model-unusable = { $name } cannot be used: { $problem }
none-fits = none of the models here does; one of at most { $parameters } in Q4 would
these-fit = these would: { $names }
model-does-not-fit = { $name } does not fit into this machine's memory; { $others }
model-does-not-fit-beside = { $name } does not fit into this machine's memory beside { $used }, which answers until the change is done; stop `maru up`, choose the model again, and start
model-crowded = warning: the engines need { $needed } for { $name }, and other programs leave { $free } of this machine's memory now; stop some of them, or chat will be slow or fail

## cli/src/model/memory.rs
machine-holds = this machine's { $memory } of memory hold a model of at most { $parameters } parameters in Q4
model-too-large = warning: the model has { $size }, and this machine has { $has } of memory for models; stop here with Ctrl-C, and get a smaller one
meminfo-not-read = cannot read /proc/meminfo
meminfo-unknown = /proc/meminfo does not tell how much memory there is

## cli/src/model/ollama.rs
not-ollama-folder = { $path } is not Ollama's folder of models
ollama-no-such-model = Ollama has no model { $wanted }; it has: { $names }
ollama-no-models = Ollama has no models in { $path }
ollama-choose = choose one with --model; there are: { $names }
ollama-no-model-file = { $name } of Ollama has no model file on this machine
not-a-manifest = { $path } is not a manifest of Ollama's

## cli/src/model/part.rs
file-not-written = cannot write { $path }; run it with sudo
pull-runs = another `maru model pull` is fetching { $name }; wait for it
folder-not-written = cannot write into { $path }
not-a-model = the source is not a GGUF model; nothing was kept
wrong-sha256 = its SHA-256 is { $found }, not { $wanted }; nothing was kept
model-unusable-removed = { $name } cannot be used: { $error }; nothing was kept
model-exists = there is already a { $name }; remove it, or choose another --name

## cli/src/model/pull.rs
model-gone = the model vanished meanwhile
not-a-file = { $path } is not a file
pull-progress = {"{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left {msg}"}

## cli/src/model/progress.rs
pull-at = {"  "}{ $done } of { $total } ({ $percent } %)

## cli/src/model/answering.rs
engine-answers-again = requests that name no model go to this machine's engine again, no more to { $former }
ollama-answers-still = requests that name no model still go to { $former }: Maru did not write { $path }, so it changes only with --write
other-answers-still = requests that name no model still go to { $former }, as { $path } says; to have this machine's engine answer, write it into agents.defaults.model there
ollama-no-dial = the gateway has no way to the Ollama at http://{ $at } yet; start with `sudo maru up --ollama http://{ $at }` first

## cli/src/model/served.rs
ollama-pulled = Ollama has { $name } ({ $size })
ollama-used = { $name } of Ollama answers within seconds, if the gateway runs
other-machine-holds = the other machine's memory is not known here: 8 GB hold a model of 7B in Q4, 16 GB one of 13B, 36 GB one of 32B
ollama-no-chat = { $name } answers no chats, such as a model for embeddings; choose another one (`maru model show NAME --ollama` lists what it can do)
ollama-fallback = { $name } answers when the first model does not; take it out of agents.defaults.model.fallbacks in openclaw.json first
ollama-agent-restarts = the agent restarts, so that the gateway reaches the Ollama at http://{ $at }
ollama-pull-interrupted = interrupted; Ollama keeps what it has, and the same command continues from there
ollama-pulled-none = Ollama at http://{ $at } said that it has { $name }, and does not list it as a model of its own; nothing uses it

## cli/src/ollama/name.rs
not-an-ollama-name = { $name } is no name of an Ollama model; write one such as llama3.2:3b or hf.co/NAME/MODEL:TAG
ollama-cloud-model = { $name } runs in Ollama's cloud, which would read what is asked; choose a model that runs at home

## cli/src/ollama/choice.rs
ollama-ambiguous = { $name } may mean several models; write one of: { $names }
ollama-has-none = Ollama has no model { $name }, and no other; get one with `maru model pull NAME --ollama`

## cli/src/ollama/client.rs
ollama-away-in-mesh = no Ollama answers at http://{ $at }: start it there with that address in OLLAMA_HOST, check with `maru status` that this machine is connected, and let the policy admit it to that port
ollama-pull-cut = Ollama at http://{ $at } ended early; the same command continues from there
ollama-refused = Ollama at http://{ $at } refused: { $reason }

## cli/src/model/source.rs
not-a-model-name = { $name } cannot be a model's name here; give one with --name, of letters, digits, dots, hyphens and underscores, that ends with { $ending }
not-a-url = { $source } is not a URL; write https://HOST/PATH/NAME.gguf
model-option-for-ollama = --model is only for Ollama's folder of models
http-needs-sha256 = over http:// anybody on the path could replace the model; use https://, or give its digest with --sha256
scheme-unknown = { $other }:// is not supported; write https:// or a file
url-has-password = remove the user and password from the URL
no-model-at = there is no model at { $path }
other-sha256 = the SHA-256 of { $name } is not that of --sha256

## cli/src/backup.rs

## cli/src/backup/root.rs
backup-needs-root = `maru { $command }` needs root: it reads and writes the keys of every service; run it as `sudo maru { $command }`

## cli/src/backup/kept.rs
backup-no-room = there is no room for { $needed } in { $path }: { $free } may be used there; make room on that disk, or choose a folder on a larger one with `sudo maru setup --backups DIR`
backups-missing = the folder of the daily backups, { $path }, is not there: is its disk mounted? `sudo maru setup --backups DIR` makes and names another one
backups-open = { $path } cannot hold backups, since it is not a folder of root alone: a backup holds every key of this network; `sudo chown root { $path } && sudo chmod 700 { $path }`, on a file system that knows owners
backups-unsafe = { $path } cannot hold backups: others than root may change { $at }, and so put another folder in its place
backups-elsewhere = { $path } cannot hold the daily backups: their unit may write only below { $places }

## cli/src/backup/unfinished.rs
restore-unfinished = a restore of this network was cut short; run `sudo maru restore FILE` again

## cli/src/backup/walk.rs
left-out-link = { $place }, which is a link
not-opened = cannot open { $path }
left-out-more = { $more } more in { $place }
not-in-backup = { $name } is not part of a backup
not-looked-at = cannot read the metadata of { $name }
left-out-not-a-file = { $name }, which is not a regular file
left-out-sparse = { $name }, a sparse file: { $len } bytes, of which { $taken } are on disk
left-out-large = { $name }, too large: { $len } bytes, and { $place } has room for { $left } more
left-out-deep = { $name }, which is too deep
left-out-not-opened = { $name }, which cannot be opened: { $error }
not-listed = cannot list { $name }
left-out-name = a file in { $name } whose name is not UTF-8
left-out-rest = the rest of { $place }, where there are too many files

## cli/src/backup/restore.rs
file-not-deleted = cannot remove { $path }
cannot-restore = cannot restore { $path }
state-not-written = cannot write in var/lib/maru
not-put = cannot move { $place } to its place
mark-not-removed = cannot remove var/lib/maru/restoring
restored = The network { $network } is restored as it was at { $created }.
restored-postgres = Its database is on a PostgreSQL server: if that is lost too, load its dump first with `pg_restore --dbname=DATABASE_URL maru.dump`
restored-removed = What was removed after the backup is back: removed devices, used or removed keys, removed API keys. Before you let people in, check `maru device list`, `maru key list` and `maru api-key list`.
restored-conversations = Conversations with the AI are sealed under the former machine's key, which no backup holds. Before `maru up`, copy it from there to { $path }, owned by root with mode 0600; without it each person needs their recovery code (`maru chat --recover`).
restored-next = Next: `sudo maru up`, with --model MODEL.gguf if the model is not at its old path. Devices use the address { $server }: if this machine has another address, point that name to it.
root-in-use = { $root } is in use: there is { $file }; restore to an empty --root, or move the old network away first
coordinator-runs = a coordinator runs on { $root }; stop it first, such as with `sudo systemctl stop 'maru-*'`
file-not-locked = cannot lock { $path }
folder-not-read = cannot read the folder { $path }
no-folder-in = cannot create a folder in { $path }
backup-unknown = it does not contain its description
not-a-backup = it is not a backup of Maru
backup-newer = it is of Maru { $maru }, which is newer than this one ({ $own }); update Maru first
not-unpacked = cannot unpack { $name }
not-synced = cannot sync { $path }

## cli/src/confine.rs
program-not-started = cannot start the program
no-program = name a program to run
not-confined = cannot confine what the program writes
group-not-entered = cannot enter the control group { $path }
limit-not-set = cannot set a limit of the program

## cli/src/model.rs
model-removed = removed { $name }
changing-engines = changing engines, one after the other; chats go on

## cli/src/backup.rs
file-exists = { $path } exists already; name another file, or give --force to replace it
backup-not-written = cannot write { $path }
left-out = left out: { $file }
left-out-outside = left out: { $path }, which coordinator.toml names; keep a copy of it yourself
backup-postgres = The database is on a PostgreSQL server and not in this file; copy it too: `pg_dump --format=custom --file=maru.dump DATABASE_URL`
backup-deleted = deleted { $name }: enough newer ones are there
backup-verified = { $path } was restored into an empty folder of this machine, and every database in it can be read
backup-broken = { $path } cannot be restored; no older backup was deleted, so keep one of those, and look for a failing disk
backup-database-broken = { $name } cannot be read
backup-verified-already = another `maru backup` restores its backup now; wait until it ends
backup-done = { $path }: { $count } files; it holds every key of this network, so protect it like a key
backup-incomplete = warning: the backup is not complete; what was left out is listed above
no-temporary-file = cannot create a temporary file
database-program-not-started = cannot start { $program }
database-not-copied = cannot copy the database: { $error }
name-too-long = { $name }, whose name is too long
file-shrank = the end of { $name }, which shrank while it was read
nothing-to-back-up = there is nothing to back up below { $path }: Maru never ran here

## cli/src/up.rs
up-leftovers = services of a killed `maru up` still run here; restart this machine
no-core-limit = cannot disable core dumps
restore-leftovers = { $path } was left by a restore that was killed, and holds keys; remove it: `sudo rm -r { $path }`
ready-not-written = cannot write run/maru/ready
up-ready = maru: ready
policy-needs-line =
    The policy must let this machine reach it; below "acls":
      { $line }
starting-again = Starting again with the new settings.
up-needs-root = `maru up` needs root: it creates a network interface and starts services as users of their own; run it as `sudo maru up`
sudo-asks = `maru up` needs root; sudo asks for your password.
sudo-failed = { $needs } (sudo: { $error })
no-signals = cannot watch for signals

## cli/src/up/checks.rs
not-an-address = --address { $address } is neither a name nor an address; give the one by which devices reach this machine, without a port, such as 192.0.2.7 or home.example.org
not-a-domain = --network { $network } is not a domain; give two or more words of a-z, 0-9 and - with dots between them, such as maru.home.arpa
option-wrong = --user { $user }: { $error }
tools-missing = missing: { $names }; install with `sudo apt-get install { $packages }`
tun-closed = { $device } cannot be opened ({ $error }); load its driver with `sudo modprobe tun`, or in a container or VPS have the host allow it
ports-taken = { $ports }; { $advice }
model-unusable-here = { $path } cannot be used: { $error }
model-unreadable = the engine's user may not read { $path }; allow it with `chmod o+r { $path }`
no-model-yet = there is no model yet; give one with `--model FILE.gguf`, or put it into { $path }
several-models = { $path } holds several models; choose one with `--model FILE.gguf`

## cli/src/up/config.rs
file-not-saved = cannot write { $path }
address-unused = --address { $address } has no effect: this network's address is { $known }; change it in { $file }
network-unused = --network { $network } has no effect: the domain of this network is { $known } and cannot be changed
no-server-url = { $file } has no `server_url`, so no other device can reach this network; add server_url = "http://ADDRESS:PORT"
service-not-offered = { $file } does not offer { $name }, so no device reaches it; add a [[service]] with name = "{ $name }", port = { $port } and socket = { $socket }
service-shows-pages = { $file } lets { $name } answer with web pages, though it has none; add pages = false to its [[service]]
service-without-https = { $file } offers { $name } not over HTTPS at { $label }.<network>, which apps such as Element X need; add https = ["{ $label }"] to its [[service]]
service-hides-pages = { $file } lets { $name } answer with no web page at { $label }.<network>, so signing in to rooms and pictures fail; add page_names = ["{ $label }"] to its [[service]]
no-own-address = this machine has no route to other networks, so its address is unknown; say how devices reach it with --address HOST

## cli/src/up/ollama.rs
not-an-ollama-address = give a loopback address or one of the mesh's, such as { $usual } or http://100.64.0.5:{ $port }
ollama-away = no Ollama answers at http://{ $at }: start it there, or give its address with --ollama URL; nothing is changed
not-ollama = the server at http://{ $at } is no Ollama; give its address with --ollama URL
ollama-empty = Ollama at http://{ $at } has no model of its own; get one with `ollama pull NAME`, then start again
ollama-found = Ollama at http://{ $at }: { $names }

## cli/src/up/setup.rs
agent-of-another-network = this machine's agent belongs to another network; leave that one with `maru leave`, then start again
home-does-not-join = the home agent cannot join its own network: { $problem }
home-cannot-join = the home agent cannot join
no-gateway-identity = the gateway has not written its public key to { $path }
not-a-regular-file = it is not a regular file
not-a-public-key = it is not a public key

## cli/src/up/start.rs
starting-control-plane = starting coordinator and relay
starting-containers = starting containers
starting-agent = starting the agent
loading-model = loading the model
joining-home = joining the home node

## cli/supervisor
own-path-unknown = cannot determine where maru itself is
program-missing = { $name } is neither beside { $own } nor in PATH; install all of Maru's programs in one folder
program-not-copied = cannot copy { $from } to { $to }
directory-not-made = cannot create { $path }
not-a-directory = { $path } is in the way: it should be a directory; move it elsewhere
owner-not-set = cannot set owner and mode of { $path }
root-not-reached = the user of the { $service } service cannot reach the root
engines-keep-model = { $refused } cannot be used; the engines keep { $known }
making-images = making container images
finding-limits = finding out what this machine can limit
not-limited = { $limit } is not limited in containers: { $reason }
not-limited-silently = { $limit } is not limited in containers, and Podman does not say why
disk-quota-exceeded = it uses more than { $limit } MiB of disk space and is stopped; free space in { $path }
podman-not-run = cannot run podman; install it with `sudo apt-get install podman`
podman-no-storage = podman cannot keep images here: { $reason }
image-not-built = podman cannot build the image of { $name }: { $reason }
containers-not-removed = podman cannot remove the containers: { $reason }
no-container-starts = podman cannot start a container here: { $reason }; { $advice }
fix-see-doctor = see `maru doctor`
no-control-groups = no control groups are mounted at /sys/fs/cgroup
no-reason-given = no reason given
killed-run = The last `maru up` here (process { $pid }) was killed; cleaning up what it left.
containers-removed = {"  "}removed { $count } containers
container-storage-anew = {"  "}{ $error }; making the container storage anew
stopping-leftover = {"  "}stopping { $service } (process { $pid })
leftovers-not-ended = processes of the last run cannot be ended; restart this machine
table-removed = {"  "}removed nftables table { $name }
up-runs-already = `maru up` already runs here (process { $pid }); stop it with Ctrl-C in its terminal or `sudo kill { $pid }`, or use another --root
memory-by-groups = a control group each limits the memory of coordinator, relay and agent
memory-by-rlimit = RLIMIT_DATA limits the memory of coordinator, relay and agent, since no control group of version 2 can
no-control-group = cannot create a control group for the { $service } service; see `maru doctor`
port-held-by = { $protocol } port { $number }, which the { $service } needs, is held by { $name } (process { $pid })
port-held = { $protocol } port { $number }, which the { $service } needs, is held by another process
port-setting = { $keys } in { $file }
fix-port = stop it, or choose another port: { $settings }
service-refuses-start = the { $name } service does not start: { $failure }; correct that, then start again
service-does-not-start =
    the { $name } service does not start; its last output:
    { $output }
service-takes-too-long = the { $name } service is not ready after { $patience }; see { $log }
service-restarts = { $name }: { $why }; starting it again in { $seconds } s
process-not-started = cannot be started ({ $error })
process-ended = ended ({ $status })

## cli/src/chat.rs
no-question = there is no question; write maru chat "TEXT"
resume-without-name = without a terminal --resume needs the name of a conversation; `maru chat --list` shows them
chat-error = maru: { $error }

## cli/src/chat/actions.rs
chat-list-heads = NAME | MESSAGES | SIZE | LAST USED
chat-search-heads = CONVERSATION | TIME | WHO | TEXT
chat-renamed = { $session } is now called { $to }
chat-deleted = { $session } is deleted
conversation-near = you have no conversation { $name }; did you mean { $nearest }?
conversation-unknown = you have no conversation { $name }; `maru chat --list` shows those that you have
no-conversations = you have no conversation yet; `maru chat` begins one
chat-choice = { $number }  { $name } ({ $messages ->
        [1] 1 message
       *[other] { $messages } messages
    }, { $used })
chat-choose = Number or name, 1 to { $last } [1]:

## cli/src/chat/interactive.rs
chat-help =
    /edit TEXT: ask TEXT in place of the last question, in a new conversation that begins as this one
    /export FILE: write this conversation to a new file: JSON if its name ends with .json, else Markdown
    /stop, or Ctrl-C: end the reply
nothing-to-stop = nothing is being answered
nothing-to-edit = there is no question to edit in this conversation
edit-without-text = write the new question after the command: /edit TEXT
reply-ended = stopped; this question and its reply are not kept
temporary-new = a new conversation, which is not kept either
temporary-export = this conversation is not on the gateway, so it cannot be exported; copy it from the terminal
chat-branched = { $session } stays as it is; this goes on in { $to }
chat-exported = { $session } is in { $name }
export-not-made = cannot write { $name }; name another file: /export FILE

## cli/src/chat/agent.rs
node-unknown = the agent does not know this node's name yet; try again
no-gateway-reachable = the network names no AI gateway that this device may reach; on the home machine, see `maru status` and `maru policy get`
gateway-is-here = the AI's gateway runs on this machine itself; chat from another device of the network
gateway-identity-unreadable = the network names a gateway identity that this version cannot read; update Maru
membership-unknown = the agent does not know its network and coordinator yet; try again
chat-needs-join = this device is in no network yet{ $problem }; join with the invitation: sudo maru join -
chat-joining = this device is still joining; try again in a moment, `maru status` shows its progress
chat-waiting = this device is not approved yet; on the home machine: maru device list, then maru device approve CODE{ $page }
chat-expired = this device's key has expired; ask the admin for an invitation, then: sudo maru join -

## cli/src/rooms.rs
rooms-login-labels = Server | User | Password | Valid
rooms-login-valid = once, for { $minutes } minutes, from your devices
rooms-login-next = In the messenger, choose another server, enter the address, then sign in with the user and the password. An app that offers sign-in by the browser needs no password.
rooms-here = the messengers' server runs on this machine itself, which belongs to nobody; run this on a device of yours
rooms-no-person = this device belongs to no person; run this on a device of a person
rooms-unreachable = the messengers' server at { $url } cannot be reached; check here with `maru status` whether the home machine is connected, and there whether `maru up` runs and the policy lets this device in
rooms-no-answer = the messengers' server at { $url } cannot answer now (HTTP status { $status }); its log on the home machine, var/log/maru/telmeet.log, says why
rooms-heads = ROOM | NAME | PEOPLE | MESSAGES | LAST EVENT | ENCRYPTED
room-member-heads = PERSON | NAME | MEMBERSHIP | POWER
room-membership =
    { $is ->
        [join] in the room
        [invite] invited
        [knock] asks to enter
        [ban] banned
       *[other] { $is }
    }
rooms-accepted = the AI answers { $person } again, whose master key is { $key } now
room-removed = removed { $name } with { $messages } messages
rooms-not-understood = the answer of { $url } is not that of a messengers' server of this version (HTTP status { $status }); update Maru on both machines

## cli/src/chat/connection.rs
gateway-keys = the gateway's keys: { $error }; update Maru on this device
gateway-answer-too-long = the gateway's answer is too long
not-a-gateway = the answer is not that of a gateway of this version; update Maru on both machines

## cli/src/chat/conversation.rs
chat-not-opened = the gateway could not open this request, even after it was sealed again with fresh keys; a question that was answered already is not answered twice: see `maru chat --history`, else ask again
device-key-refused = the gateway does not accept this app's device key although it was just bound; try again in a moment
device-key-bound = this app's device key is bound to another node of the network; if this device was renewed, or its files were copied, remove { $path } and ask again: it then gets a key of its own
gateway-stranger = the server at { $host } is not this network's gateway; nothing was sent. If the gateway was set up anew, wait a minute for the network to tell this device, then try again
gateway-rollback = { $error }; nothing was sent. If the home machine's clock was wrong before, or its state was lost, remove { $path } and ask again
device-proof-refused = the gateway refused the proof of this app's device key; try again
no-suite-key = the gateway has no { $suite } key that is valid now; try the other --suite
question-too-long = the question is too long; at most 1 MiB can be sealed
reply-cut = { $error }; ask again
reply-broken = { $error }; the text above is genuine but incomplete. Ask again
reply-not-printed = cannot print the reply
clock-too-early = this device's clock is before 1970; set it
clock-too-late = this device's clock is too far ahead; set it

## cli/src/chat/print.rs
reply-length = maru: the reply stops here because it reached its token limit
reply-yielded = maru: the reply stops here because others waited for the model; ask it to go on
reply-evidence = maru: the node that answered was verified by { $class } evidence ({ $image })

## cli/src/chat/state.rs
chat-folder-not-made = cannot create { $path }, the folder for the app's device key
no-random-bytes = the system provides no random bytes: { $error }
file-vanished = { $path } vanished; try again
no-home-folder = there is no folder for the app's device key; set HOME

## cli/src/confidential.rs
ca-has-private-key = { $path } holds a private key, which only its operator should have, so nothing is changed: give a file of certificates
pinned-for-another = { $file } has { $keys } for { $name }, written for another identity, so nothing is changed: run `maru confidential remove` first
ca-not-written = cannot write { $path }; nothing else is changed
confidential-added = restart Maru (`sudo systemctl restart maru.target`, or `maru up`); then confidential/{ $name } answers requests that name it ({ $models }), and where agents.defaults.model.fallbacks lists it
no-deployment = there is no deployment { $name }; `maru confidential list` shows those that there are
confidential-removed = restart Maru (`sudo systemctl restart maru.target`, or `maru up`), so that the gateway forgets it as well
not-a-deployment-name = { $name } is not a name of 1 to { $max } lower-case letters, digits, dots and hyphens
not-an-attestation-key = { $path } is no line that `maru-compute ak` printed
several-certificates = { $path } holds several certificates: give one root
not-an-anchor = { $path } is neither a certificate, PEM or DER, nor a TPM's key
not-a-policy-of-it = { $path } is no policy of this deployment
file-not-read-unchanged = cannot read { $path }; nothing is changed
not-a-plain-file = { $path } is not a regular file, so nothing is changed: check what it is
openclaw-not-of-maru = Maru did not write { $path }, so nothing is changed: run this again with --write, which keeps the former file beside it
file-not-editable = { $path } cannot be edited safely, so nothing is changed: correct it, or change it by hand (docs/configuration.md)

## cli/src/confidential/deployment.rs
not-an-ip-port = write IP:PORT, or NAME@IP:PORT if the certificate is for a name; names are not looked up
not-a-dns-name = the part before @ is no DNS name

## cli/src/confidential/verify.rs
not-a-time = write a time such as 2026-11-23T08:00:00Z
not-a-nonce = it has 64 hexadecimal digits
time-before-1970 = the time is before 1970
evidence-too-large = { $path } is larger than 2 MiB: it is neither evidence nor a policy
not-a-pin = { $path } is no pin
not-evidence = { $path } is neither evidence of a node nor a Nitro document, nor base64 of one
verify-passed = every check passed
verify-refused = refused: { $failed } of { $count } checks failed
verify-unproved = no check failed, but not everything was checked, so this proves nothing yet: { $open }

## cli/src/up/ollama.rs
ollama-left-out = {"  "}left out: { $left_out }, which run in a cloud or have an unusable name
file-up-to-date = {"  "}{ $path } is up to date
file-leads-there = {"  "}{ $path } now points the gateway to it
file-changed-by-hand =
    {"  "}{ $path } was changed by hand and is left as it is; add this to it:
    { $by_hand }
file-not-of-maru =
    {"  "}Maru did not write { $path }, and it is left as it is; add this to it, or run this again with --write, which keeps the former file beside it:
    { $by_hand }
ollama-primary = {"  "}it answers requests that name it; to use it by default, set agents.defaults.model.primary to { $first }

## cli/src/confidential.rs
confidential-ca = {"  "}{ $path } holds the authority behind its servers' certificates
gateway-reaches-outside = {"  "}the gateway may now reach { $address }, outside of this network
simulated-accepted = {"  "}SIMULATED evidence is accepted: it proves nothing to anybody but its maker
policy-pinned = {"  "}pinned: policies from epoch { $epoch } on, and these images: { $images }
keys-kept = {"  "}{ $file } keeps its other keys: { $kept }
file-changed = {"  "}{ $path } is changed

## cli/src/doctor/certificates.rs
fix-acme = read var/log/maru/coordinator.log: it says why the authority issued none, and whether the coordinator asks again
fix-certificate = renew it, and replace this file by the new one; the coordinator reloads it by itself
fix-relay-certificate = stop `maru up`, remove it and its key beside it, and start again: devices get the new one
only-root-looks = only root may read { $path }
file-missing = { $path } is missing
certificate-broken = { $path } holds a broken certificate
certificate-early =
    the certificate in { $path } becomes valid in { NUMBER($days) ->
        [0] less than a day
        [1] 1 day
       *[other] { $days } days
    }
fix-clock = wait, or correct this machine's clock
certificate-expired =
    the certificate in { $path } expired { NUMBER($days) ->
        [0] less than a day
        [1] 1 day
       *[other] { $days } days
    } ago
certificate-ends =
    the certificate in { $path } expires in { NUMBER($days) ->
        [0] less than a day
        [1] 1 day
       *[other] { $days } days
    }
certificate-holds = the certificate in { $path } is valid for { $days } days

## cli/src/doctor/host.rs
tools-there = podman, nft and setpriv are installed
missing = missing: { $names }
tun-opens = /dev/net/tun opens
tun-opens-for-agent = /dev/net/tun opens, for the agent's user too
tun-opens-for-root = /dev/net/tun opens for root, who opens it for the agent; an agent that starts as user { $uid } cannot
tun-root-only = /dev/net/tun opens only for root
tun-fails = /dev/net/tun cannot be opened: { $error }
fix-tun = sudo modprobe tun; in a container or VPS the host has to allow it
landlock-full = the services can write only in their own folders
landlock-partial = Landlock is older than Linux 6.2: it restricts writes, but not truncation
landlock-none = there is no Landlock: only users and modes restrict writes
fix-kernel = install a kernel of Linux 6.2 or newer
fix-landlock = boot a kernel of Linux 5.13 or newer with landlock in CONFIG_LSM, or with lsm=landlock,… on its command line
swap-off = off
swap-encrypted = on { $names }, in memory or on a mapped device
swap-on = on { $names }: what people write could reach the disk
fix-swap = sudo swapoff -a and remove it from /etc/fstab, or encrypt it
core-pattern = limit 0 for every service; the host's pattern is { $pattern }
clock-synchronised = synchronised
clock-unsynchronised = not synchronised: sealed requests fail if clocks differ by a minute
clock-unknown = systemd does not keep it here; compare it by hand
podman-old = { $version }: older than 4
fix-podman = install a newer Podman; Debian 12 has one that works
podman-fails = cannot be run
limits-root-only = only root can try them
fix-cgroup = check that /sys/fs/cgroup is mounted and `podman info` works as root
limits-work = memory, swap and processes are limited
fix-swap-limit = switch swap off, or boot with swapaccount=1
fix-memory-limit = boot with cgroup_enable=memory
fix-controller = enable this controller of control groups on the host
folder-in-the-way = cannot create { $path }; remove it

## cli/src/doctor/providers.rs
fix-gateway = see the findings about the gateway
cannot-be-asked = cannot be asked: { $error }
evidence-simulated = SIMULATED evidence of { $name } is accepted: it proves nothing; assume that its operator reads everything
fix-simulated = once its nodes show other evidence, remove simulated from [confidential.{ $name }] in gateway.toml
provider-unexplained = it gives no reason
provider-ready = { $name } is ready
provider-draining = { $name } accepts no new requests: it is full or draining
provider-loading = { $name } still loads its model
fix-wait = wait a moment
provider-refuses = { $name } refuses the gateway: { $trouble }
fix-provider-key = compare apiKey in openclaw.json with what the server expects
provider-silent = { $name } does not answer: { $trouble }
fix-provider = start it, or correct its baseUrl
provider-unusable = { $name } is not used: { $trouble }
fix-provider-file = put the file there, readable for the gateway; it is used without a restart

## cli/src/doctor/config.rs
openclaw-used = openclaw.json is in use
openclaw-former = openclaw.json cannot be used as it is now; the former one is in use, and the gateway would not start again: { $error }
openclaw-waits = a part of openclaw.json applies after a restart only
fix-openclaw = correct the file; it is used without a restart
conversations-kept = conversations are kept
conversations-not-kept = the AI answers, but no conversation is kept: { $error }
fix-conversations = correct that; the database is opened again within half a minute

## cli/src/gateway/backends.rs
backends-near = what people ask the AI goes to this machine, to the mesh, or to nodes that prove what they run
backends-unknown = which servers are asked is not known: openclaw.json cannot be read
backend-dial = the dial { $name } leads in plain HTTP to { $to }, outside of this machine and the mesh: whoever is on the way, and the operator there, can read what people ask and change the answers
fix-backend-dial = make that server a node of the network, or use a deployment that proves itself (`maru confidential add`); or else remove the dial from agent.toml and its provider from openclaw.json
backend-far = the provider { $name } asks { $url }, outside of this machine and the mesh: its operator can read what people ask
backend-plain = the provider { $name } names { $url }, outside of this machine and the mesh and without TLS: whoever is on the way could read what people ask
fix-backend = make that server a node of the network, or use a deployment that proves itself (`maru confidential add`); or else remove the provider from openclaw.json

## cli/src/gateway/origins.rs
origins-safe = pages of other origins that may use the AI, none of them over plain HTTP from elsewhere: { $count }
origins-plain = pages that come from elsewhere over plain HTTP may use the AI: { $origins }; whoever is on the way can replace such a page, which then asks as the person who has it open
fix-origins = serve the page over HTTPS, or remove it from origins in gateway.toml

## cli/src/gateway/app_keys.rs
app-keys = apps of this machine with a key, each valid until `maru app remove`: { $count }
app-key-unused = the key of the app { $name } was last used on { $day }
app-key-never-used = the key of the app { $name } was made on { $created } and never used
fix-app-key = sudo maru app remove { $name }
fix-app-keys-unknown = run it as root while Maru runs

## cli/src/gateway/workspace.rs
workspace-none = there is no workspace yet
workspace-fine = files: { $files }, bytes: { $bytes }; only root and the gateway can write them
workspace-unknown = { $path } cannot be looked at: { $error }
fix-workspace-unknown = look at it as root; it should be a folder and no link
workspace-open = others than root and the gateway can write there, and so decide what everybody's prompts contain: { $names }
fix-workspace-open = sudo chmod -R go-w { $path }, and let root or the gateway own what is in it
workspace-links = links, which the gateway does not follow: { $names }
fix-workspace-links = put the file itself there
workspace-large = files of 1 GiB or more, of which a prompt holds the beginning at most: { $names }
workspace-long = SOUL.md, IDENTITY.md and AGENTS.md have { $bytes } bytes; a prompt holds { $max } at most, and the rest is left out
fix-workspace-long = shorten them
workspace-cut = { $path } has more than { $max } files and folders; the others were not looked at
fix-workspace-cut = remove what does not belong there

## cli/src/doctor/services.rs
units-enabled = { $target } starts at each boot
units-not-enabled = systemd runs Maru, and { $target } does not start at the next boot
fix-units = sudo systemctl enable { $target }
programs-found = all of Maru's programs are found
fix-programs = only `maru up` needs them; install all of Maru's programs in one folder
fix-file = correct that file
ports-free = free: { $ports }
fix-ports = before `maru up`: stop it, or choose another port: { $keys } in { $file }
fix-look-at-ports = check with `ss -tulpn`
folder-owner = { $path } is { $uid }:{ $gid } { $mode }, should be { $owner }:{ $group } { $right }
socket-answers = { $path } answers
socket-closed = { $path } is closed to this user, as it should be
socket-silent = { $path } does not answer: { $error }
services-root-only = only root may ask them
rooms-answer = telmeet has its rooms: { $rooms }
service-ready = { $name } is ready
service-silent = { $name } does not answer
fix-wait-for-service = wait; `maru up` waits for it for { $patience }
service-not-ready = { $name } is not ready yet
fix-read-journal = read what it logged with `journalctl -u { $unit }`; `sudo systemctl restart { $unit }` starts it again
fix-read-log = read { $path }, then stop `maru up` and start it again
apps-untrusted-proxy = devices reach { $server } over a proxy that is not trusted, so they all count as one
fix-proxy = name the proxy's address in `trusted` under [proxy] in etc/maru/coordinator.toml
fix-public-certificate = from outside, TCP port 443 of that name must lead to the coordinator; apps go on with the certificate so far, or that of the network's own authority
apps-ok = { $server } is where stock apps expect HTTPS
fix-see-status = see `maru status`
agent-node = this device is a node
fix-agent = start the agent
forwarding-off = this machine offers { $routes }, but does not forward packets, so it routes for nobody
names-found = this machine's programs find { $name }
names-not-found = this machine's programs do not find { $name }, nor other names of the network
names-elsewhere = this machine's programs are led to { $addresses } for { $name }, which is elsewhere
names-through-exit = names of the internet are found through the exit node { $name }
names-no-exit-resolver = no name of the internet is found through the exit node { $name }: the resolvers of this machine have private addresses, which are not reached through it
fix-exit-resolver = write a resolver into agent.toml, exit_node_dns = ["9.9.9.9"] say; then run `sudo systemctl restart maru-agent`. One with a private address is reached only if the exit node offers its network as a subnet (advertise_routes) and that is approved (`maru route approve`)
names-not-through-exit = no resolver answers through the exit node { $name }
fix-exit-resolver-silent = see that { $name } is online and reaches the internet (`maru ping { $name }`), and that the resolvers of exit_node_dns in agent.toml are right; one with a private address is reached only if the exit node offers its network as a subnet (advertise_routes) and that is approved (`maru route approve`)
fix-names = see in `maru status` how names reach programs, and the setting dns in agent.toml; then restart the agent
leftovers =
    { $what ->
        [resolver] an agent that was killed left this machine's resolver changed, so names may not be found
        [kill-switch] the kill switch of an agent that does not run is on, so nothing leaves this machine
       *[firewall] an agent that was killed left its nftables table
    }
fix-kill-switch = start the agent: `sudo systemctl start maru-agent`; or open it without an agent: `sudo systemctl stop maru-agent`, then `{ $command }`
version-answers = answers, version { $found }
version-differs = version { $found }, while maru is { $version }
fix-version = install all programs of one version, then restart

## cli/src/finding.rs
finding-heads = CHECK | RESULT | FOUND | FIX
severity =
    { $severity ->
        [error] error
        [warning] warning
       *[ok] ok
    }

## cli/src/doctor/services.rs
agent-state =
    { $state ->
        [needs_join] state: needs join
        [joining] state: joining
        [waiting_for_approval] state: waiting for approval
        [running] state: running
        [paused] state: paused
       *[expired] state: expired
    }
firewall-root-only = only root may read the firewall's rules
firewall-open = no rule was found that closes the tunnel's port or its services
firewall-closes-forwarding = the firewall of this machine ({ $by }) drops what it forwards: WireGuard devices do not reach other devices, nor do others reach them, whatever the policy allows
firewall-closes-port = the firewall of this machine ({ $by }) closes UDP port { $port }: a peer reaches this machine directly only if this machine calls it at the same time, and by the relay otherwise
firewall-closes-service = the firewall of this machine ({ $by }) closes port { $port } of the tunnel's interface { $interface }: devices of the network do not reach the service there, whatever the policy allows
firewall-closes-wireguard = the firewall of this machine ({ $by }) closes UDP port { $port }: devices that have only WireGuard cannot connect
fix-firewall-for-now = { $command } (it lasts until the rules are loaded again: write it into the firewall's own configuration, too)
relay-answers = the relay { $name } answers
relay-silent = the relay { $name } does not answer: peers without a direct path cannot be reached
fix-relay = check this machine's connection, and at home whether Maru runs (maru doctor)
relayed-no-udp-here = packets to { $name } go over the relay: no STUN server answers this machine, so its network lets no UDP out
fix-udp-here = allow outgoing UDP in this network, or use another one
relayed-no-udp-there = packets to { $name } go over the relay: it names no address, so its network lets no UDP out
fix-udp-there = allow outgoing UDP in the network of { $name }
relayed-no-family = packets to { $name } go over the relay: one of the two has only IPv4, the other only IPv6
fix-family = give one of the two both address families
relayed-symmetric = packets to { $name } go over the relay: this machine's NAT gives each destination another port (it is symmetric)
relayed-no-answer = packets to { $name } go over the relay: nothing answers at its addresses, since a NAT or a firewall between the two drops the packets
fix-forward = forward UDP port { $port } to this machine in its router, or let the router do that (UPnP, NAT-PMP, PCP); or forward the other one's port in its own
fix-listen-port = set listen_port in agent.toml to a port, 41641 say, and forward that to this machine in its router; or forward the other one's port in its own
clock-before-coordinator = this machine's clock is { $by } ahead of the coordinator's: sealed requests fail, and if the agent starts while the coordinator is away, keys expire at a wrong time
clock-behind-coordinator = this machine's clock is { $by } behind the coordinator's: sealed requests fail, and if the agent starts while the coordinator is away, keys expire at a wrong time
fix-restart = `sudo systemctl restart maru.target`, or stop `maru up` and start it again

## cli/src/model.rs
model-heads = NAME | SIZE | KIND | CONTEXT | IN USE
model-labels = Name | Size | Kind | Context | Memory needed | Fits this machine | In use | File | Problem
ollama-heads = NAME | SIZE | KIND | IN USE
ollama-labels = Name | Size | Kind | Context | Capabilities | Fits this machine | In use
model-pulled = { $name } is here ({ $size }, SHA-256 { $sha256 })
model-used-now = { $name } answers now
model-used-later = { $name } answers from the next start on
model-of-engines-now = the engines have { $name } now
model-of-engines-later = the engines have { $name } from the next start on

## cli/src/chat
chat-you = you
clock-ahead = this device's clock is { $by } ahead of the home machine's; nothing was sent. Correct the wrong one (sudo timedatectl set-ntp true), then ask again
clock-behind = this device's clock is { $by } behind the home machine's; nothing was sent. Correct the wrong one (sudo timedatectl set-ntp true), then ask again
gateway-timeout = the gateway at { $url } does not answer; check here with `maru status` whether the home machine is connected, and there whether `maru up` runs and the policy lets this device in
gateway-unreachable = the gateway at { $url } cannot be reached; check here with `maru status` whether the home machine is connected, and there whether `maru up` runs and the policy lets this device in

## cli/src/confidential
confidential-heads = NAME | EVIDENCE | LEADS TO | IDENTITY
evidence-simulated-too = SIMULATED too
evidence-real = real
verify-heads = CHECK | RESULT | CODE | MEANING

## chassis/src/root.rs
root-of-another = --root { $root } is not safe: { $at } belongs to uid { $uid }, who could put other files in its place; choose another folder, or hand it to root with `sudo chown -h root { $at }`
root-writable = --root { $root } is not safe: everybody may write { $at }, and so put other files in its place; choose another folder, or forbid it with `sudo chmod { $mode } { $at }`
root-writable-by-group = --root { $root } is not safe: group { $group } may write { $at }, and so put other files in its place; choose another folder, or forbid it with `sudo chmod { $mode } { $at }`
root-not-a-folder = --root { $root } cannot be used: { $at } is not a folder; choose another
root-closed = --root { $root } cannot be used: uid { $uid }, as which this program runs, cannot enter { $at }; choose another folder, or let every user pass with `sudo chmod o+x { $at }`
root-unreadable = --root { $root } cannot be used: { $at } cannot be read; choose another folder

## chassis/src/settings.rs
settings-missing = there is no { $path }: correct --config, or make that file
settings-unreadable = cannot read { $path }: check who may read it
settings-wrong-at = cannot use { $path }, line { $line }, column { $column }: { $reason }
settings-wrong = cannot use { $path }: { $reason }

## chassis/src/state.rs
state-unreadable = cannot read { $path }: check who owns it and its directory
state-unwritable = cannot write { $path }: check the free space, and who owns its directory
state-damaged = { $path } is damaged at line { $line }, column { $column }: { $remedy }
state-older = { $path } has version { $found }, and this program supports version { $known } only: { $remedy }
state-newer = { $path } has version { $found }, this program knows { $known }: update Maru
remedy-restore = restore it from a backup, or move it away to start anew
remedy-pull-again = remove it and pull again
remedy-give-model = remove it and give --model
remedy-new-one = move it away to start with a new one

## chassis/src/unix.rs
socket-busy = another process already serves { $path }: stop it, or give this instance another --root
socket-in-the-way = { $path } is not a socket: move it away
socket-left-behind = { $path } was left behind by another user (uid { $uid }): remove it
socket-folder-unsafe = { $path } must belong to the user of this program or to root, and nobody else may write it: correct its owner and mode
socket-no-room = cannot listen on { $path }: its disk is full; make room there
socket-not-made = cannot listen on { $path }: check who owns its folder
socket-unreachable = { $path } cannot be connected to
socket-is-a-link = { $path } is a link or no socket, or a folder on the way to it is a link: remove what is there and start the service again, or write the path without links in the settings
socket-of-another = uid { $found } listens on { $path }, and uid { $expected } should: stop what listens; if it is right, correct the uid in the settings, or else the owner of the folder

## cli/src/archive.rs
archive-cut = it is cut short
archive-torn = it is cut short or damaged
archive-damaged = it is damaged at { $name }
archive-holds-twice = it holds { $name } twice, or one file too many
archive-holds-more = it holds something after { $name }
archive-holds-no-file = it holds { $name }, which is no file
archive-holds-outside = it holds { $name }, which is no name of a file below a folder
archive-holds-foreign = it holds { $name }, which no backup holds
archive-holds-too-long = it holds { $name }, which is too long
archive-file-changed = { $name } changed while it was read; try again
archive-name-unusable = { $name } is a name that an archive cannot hold

## cli/src/trust.rs
trust-needs-root = `maru trust` needs root: it changes which authorities this machine trusts; run it as `sudo maru trust`
trust-network = Certificate authority of { $network }, which can vouch for names below { $network } alone. SHA-256: { $fingerprint }
trust-refused = the home machine sent a certificate that could vouch for more than names below { $network }, or is none; it is not installed. Tell the admin
trust-added = Trusted: { $store }
trust-removed = Trusted no longer: { $store }
trust-nothing = No authority of a network is installed here.
trust-no-system = this system has neither update-ca-certificates nor update-ca-trust nor trust; install the package ca-certificates
trust-command-failed = `{ $command }` failed
trust-no-person = Chromium was left as it is, since each person has a store: run this with `sudo` as that person.
trust-no-certutil = Chromium was left as it is: install certutil (package libnss3-tools or nss-tools), then run this again.
trust-store-left = { $path } was left as it is: it cannot be changed.
trust-next = Start open browsers again. On phones and other systems, open { $page }

## cli/src/chat/memory.rs

memory-unchanged = { $file } was not changed
memory-written = { $file } is written
editor-failed = the editor { $editor } failed; nothing was changed

## cli/src/chat/actions/recovery.rs
recovery-code-made = Write this code down and keep it apart from this device and from backups: it is not shown again, and whoever has it and a copy of the database reads your conversations. An older code opens nothing any more.
recovery-code-ask = Your recovery code
recovered = Your conversations are open on this machine.

## cli/src/setup.rs
setup-needs-root = `maru setup` needs root: it writes settings and starts services; run it as `sudo maru setup`
setup-needs-options = there is no terminal to ask at; give { $options }
setup-labels = Network | Devices reach it at | First person | Model | Copied from | Daily backups | Writes
setup-dry-run = Nothing was changed (--dry-run).
setup-go-on = Write this, and start Maru now and at each boot? [y/N]
setup-nothing-changed = Nothing was changed.
setup-starting = starting { $target }
setup-end = Everything starts at each boot; `sudo systemctl stop { $target }` stops it until the next one.

## cli/src/setup/args.rs
not-a-public-name = --domain { $name } is not a name in public DNS; give one that leads to this machine, such as home.example.org, or use --lan

## cli/src/setup/host.rs
setup-other-root = `maru setup` sets up the units, which serve the root / alone; for { $root } use `maru up`
setup-no-systemd = systemd does not run here, and `maru setup` needs it to start the services; use `sudo maru up`, which starts them itself
setup-not-installed = { $target } is not installed; install the package maru-home, or use `sudo maru up`, which needs no units
setup-unknown-release = warning: this is { $name }; Maru's packages are made for Debian 13 and Ubuntu 24.04
setup-old-release = { $name } is too old for the units of Maru: its Podman has no Quadlets; update it to Debian 13 or Ubuntu 24.04, or use `sudo maru up`, which starts the services itself

## cli/src/setup/questions.rs
setup-ask-network = Name of the network; it never changes [{ $usual }]
setup-ask-user = First person, such as ann
setup-ask-domain = Name in public DNS that leads to this machine, for a certificate [none: only devices in the local network]
setup-ask-model = Model that answers, by its number or as a GGUF file{ $list }
    Which one
setup-ask-model-or = Model that answers, by its number or as a GGUF file{ $list }
    Which one [{ $usual }]
setup-ask-file = Model that answers, a GGUF file
setup-ask-backups = Folder of the daily backups, best on another disk [{ $usual }]
setup-no-model = choose a model
setup-no-answer = there was no answer; nothing was changed

## cli/src/setup/plan.rs
setup-network-stays = --network { $network } cannot be used: the domain of this network is { $known } and never changes
setup-model-name = { $path } cannot be copied under this name; rename it to letters, digits, dots, hyphens and underscores
setup-model-exists = the folder of models has another { $name }; rename one of them
address-by-hand = { $file } cannot be changed without a doubt; set server_url = "{ $url }" there by hand

## cli/src/units
units-run = systemd runs Maru here already; use it as it is (`maru status`), or stop it first with `sudo systemctl stop { $target }`
no-journalctl = cannot run journalctl
log-root = only root, and who is in the group adm, can read what daemons log: run `sudo maru log --daemon`
last-failure = { $unit } failed last at { $at }: { $text }
no-systemctl = cannot run systemctl
systemctl-failed = `systemctl { $args }` failed: { $error }
unit-ends = { $unit } ends again and again; `journalctl -u { $unit }` says why
unit-not-ready = { $unit } is not ready after { $seconds } s; `journalctl -u { $unit }` says why
model-outside = the engines see no model outside of { $folder }: get { $path } there with `maru model pull`
model-stays = { $reason }; the former model stays
model-not-back = { $reason }; the former model does not start either

## cli/src/upgrade.rs
upgrade-other-root = `maru upgrade` updates the installed package, which serves the root / alone; for { $root } there is nothing to update
upgrade-not-installed = no package of Maru is installed here; install maru-home, or maru on a device, with `sudo apt install ./FILE`
upgrade-no-file = no update was cut short; name the package to install: `maru upgrade FILE`
upgrade-needs-root = `maru upgrade` needs root: it installs packages and restarts services; run it as `sudo maru upgrade`
upgrade-runs = an update is going on; wait until it is done
upgrade-fix-undone = install a package that works, or the former one again: `sudo maru upgrade FILE`
upgrade-going-on = an update is going on
upgrade-fix-going-on = wait until it is done
upgrade-unfinished = an update was cut short
upgrade-plan = { $name } { $version } will be installed; { $own } of Maru runs now.
upgrade-steps = First a backup is made. Then the new version starts; if it does not run well, the former one is put back with its data. The services are away for about a minute; connections between devices go on.
upgrade-go-on = Install it? [y/N]
upgrade-no-program = cannot run { $program }

## cli/src/upgrade/former.rs
upgrade-stage = { $path } names a stage of an update that this version does not know; install the newest package
upgrade-interrupted = it was cut short
upgrade-mount = { $path } is on a disk of its own and could not be put back; mount the disk at { $folder } as a whole instead
upgrade-not-copied = the data could not be copied: { $error }
no-cp = cannot run cp

## cli/src/upgrade/package.rs
upgrade-not-a-package = { $path } is not a Debian package that can be read; download it again
upgrade-architecture = { $path } is for { $architecture }, and this machine is { $own }; get the package for { $own }
upgrade-other-package = { $path } is the package { $name }, and { $own } is installed here; get a package { $own }
upgrade-not-newer = { $path } has version { $version }, which is not newer than { $own }, the installed one; nothing was changed

## cli/src/upgrade/trial.rs
upgrade-not-announced = the new version runs, but the coordinator was not told what it offers ({ $error }): run `sudo maru setup`
upgrade-taken-back = the update was taken back, and { $version } is here again with its data as before: { $why }

## cli/src/upgrade/units.rs
upgrade-no-answer = { $unit } does not answer a chat; `journalctl -u { $unit }` says why
upgrade-former-away = the former version was put back with its data, and does not start

## cli/src/watch.rs
watch-hangs = { $unit } has not answered for six seconds: it is killed and starts again
watch-kills-not = { $unit } cannot be killed: { $error }

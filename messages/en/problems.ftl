# Problems of the daemons (RFC 9457). `problem-KIND` is the title of a kind, without arguments; other ids are messages that a
# problem names. `.detail` says what to do.

problem-api-key = a valid API key is needed
    .detail = create one on the home machine: sudo maru api-key create NAME
problem-attestation-failed = no node of the confidential chain proved itself
problem-bad-request = the request cannot be used
problem-body = the body of the request cannot be used
problem-body-reason = invalid request body: { $reason }
problem-body-too-large = the body is too large
    .detail = the limit is 1 MiB
problem-body-busy = there is no room for the body now
    .detail = try again in a moment
problem-body-cut = the body ended early
    .detail = send the whole body without pauses
problem-body-late = the body did not arrive in time
    .detail = send the whole body without pauses
problem-busy = a limit is reached; try again in a moment
problem-changed = it has changed since it was read
problem-content-type = the content type must be application/json
problem-cut = the model no longer knows the beginning of this conversation
problem-device = the device key is not bound to this node and its person
problem-device-bound = the device key is bound to another node
problem-engines-busy = the engines are being changed already
    .detail = wait until that is done, then choose again
problem-engines-stop = `maru up` is stopping
problem-model-kept = { $reason }
problem-full = your conversations take all the room that they may have
problem-forbidden = this is not permitted here
problem-host = the Host is not a name of this service
problem-https-only = the admin API needs HTTPS
    .detail = set [tls], or [proxy] behind an HTTPS proxy, and an https:// server_url in coordinator.toml, and use that URL; remove the API key if it was sent over plain HTTP
problem-identity = this needs a member of the mesh
problem-invitation = this is not an invitation that can be used
problem-joined = this device has joined already
problem-key = this needs the key of an app
problem-limit = too many requests from this address
problem-media-type = the request has an unknown media type
problem-method = the path does not support this method
problem-misdirected = the request was sent to the wrong server
problem-model = no model answers
problem-name = the name cannot be used
problem-name-label = a name is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -
problem-name-letters = a name is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -: in these letters it could be "{ $suggestion }"
problem-name-user = a user's name is 1 to 63 of a-z, 0-9, '.', '_', '-' and, inside, one '@', and begins with a letter or digit
problem-name-api-key = an API key's name is 1 to 63 of a-z, 0-9 and -, beginning with a letter
problem-name-tag = a tag is "tag:" and then 1 to 63 of a-z, 0-9 and -, beginning with a letter
problem-name-reserved = the name is reserved for the home node or a service of the network
problem-name-taken = the name is taken
problem-network = the network cannot be read
problem-node-gone = the node is gone
problem-node-self = that is this device itself
problem-node-unknown = no node of the network has this name
problem-node-unknown-name = no node of the network that this device may see is called { $name }: `maru status` lists them
problem-not-a-node =
    { $state ->
        [needs_join] this device is in no network: sudo maru join - takes the invitation
        [paused] this device is paused: sudo maru resume brings the tunnel up
       *[other] this device is not a running node of the network: `maru status` says why
    }
problem-no-https = no machine of the network offers HTTPS, or it cannot be reached on port 443 (does the policy allow it?)
problem-no-pong = the peer does not answer
problem-no-pong-of = { $name } does not answer within 5 seconds: it is off, or no path leads to it; `maru doctor` looks for the reason
problem-node-ambiguous = several nodes have this name
problem-node-ambiguous-name = several nodes are called { $name }: name a mesh address, `maru status` lists them
problem-not-kept = this turn is answered but not kept
problem-not-found = there is nothing here
problem-no-such =
    there is no such { $thing ->
        [waiting-device] waiting device
        [api-key] API key
        [wireguard-device] WireGuard device
       *[other] { $thing }
    }
problem-not-root = only root may do this
problem-origin = requests from websites are refused
    .detail = use a program that sends no browser headers: websites may not use this API
problem-page = the service's answer has a type that it does not send
problem-path = there is no such path
problem-plain-http = over plain HTTP an invitation with --approved needs --force
    .detail = anyone who reads the invitation in transit could join at once; leave out --approved and approve the device with `maru device approve`, or add --force
problem-policy = the policy is invalid
problem-policy-replaced = the policy was replaced in the meantime
    .detail = check the changes of your policy again, then set it
problem-ping-rate = too many pings
problem-query = the request's query cannot be used
problem-query-reason = invalid query: { $reason }
problem-question = this question about the policy cannot be answered
problem-question-nobody = "{ $word }" is no device in the network: name a device, a person with devices, a tag or one address
problem-question-pairs = the question covers more than { $most } pairs of devices: name single devices
problem-question-same = source and destination are the same device, which needs no rule: name another, or addresses of the same family
problem-question-selector = { $reason }
problem-rate = too many requests
problem-remembered = the AI added a line to your memory
problem-repeated = the message was received before
problem-read-only = this API key is read-only
    .detail = create one with write access: sudo maru api-key create NAME --admin
problem-request = the request cannot be used
problem-rooms-key = telmeet does not have the key under which its rooms are sealed
    .detail = copy the key from the machine where the rooms were made, or move the folder var/lib/maru/telmeet away to start without rooms
problem-route = the route cannot be used
problem-route-half-exit = { $route } cannot be routed: an exit node offers 0.0.0.0/0 and ::/0 together
problem-route-mesh = { $route } cannot be routed: it overlaps the network's own addresses
problem-route-none-offered = { $device } does not offer { $route }; it offers no route: run `tailscale set { $option }` there first
problem-route-not-offered = { $device } does not offer { $route }; it offers { $offered }: name one of these, or run `tailscale set { $option }` there first
problem-route-nowhere = { $route } cannot be routed: it is a loopback, link-local or multicast range
problem-sealed = the request cannot be opened
problem-server-url = `server_url` in coordinator.toml is not an address that an invitation can contain
problem-several = several devices have that name: use the code or the number from the list
problem-wrong-code = this is not your newest recovery code
problem-other-machine = your conversations were sealed on another machine
problem-state = the request conflicts with the present state
problem-state-addresses = no address is free in 100.64.0.0/10: remove devices that are no longer used
problem-state-conflict = the database is unavailable
    .detail = it was changed in the meantime: try again
problem-state-user-has-devices = the user has devices: remove or reject them first
problem-state-no-owner = name the owner of the device, a user or tags: it registered without a key
problem-state-key-owner = a key needs a user or tags
problem-state-key-waits = a waiting device used the key: approve or reject the device first
problem-state-api-keys = the limit of API keys is reached: remove one first
problem-stopping = the service is stopping
problem-store = the database is unavailable
problem-tags = the device requests tags that its owner may not assign: approve it with tags, add the owner to tagOwners in the policy, or start the device without them
problem-taken = the name is another app's
problem-too-large = the request is too large
problem-tries = too many wrong API keys came from this address
    .detail = wait a minute, then try again
problem-unreachable = the next hop cannot be reached
problem-version = the version is not known here
problem-wireguard-endpoint = not an endpoint: a host or address and a UDP port, such as home.example.org:51820 or [2001:db8::1]:51820
problem-wireguard-expired = { $device } has expired: extend it first with maru device extend { $device }
problem-wireguard-key-known = another device has this key: make a new one
problem-wireguard-no-router = no device is known as home: run sudo maru up on the home machine, or name a tagged device with --via
problem-wireguard-not-a-key = not a WireGuard public key: 44 characters that `wg pubkey` prints
problem-wireguard-not-offered = { $name } does not offer to route WireGuard devices: write the line [wireguard] at the end of its /etc/maru/agent.toml and run sudo systemctl restart maru-agent there, or name another tagged device with --via
problem-wireguard-owner = name the owner of the device with --user, or a tag with --tag
problem-wireguard-several-routers = several devices are marked as home: name one of { $names } with --via
problem-wireguard-untagged = { $name } cannot route WireGuard devices: it needs a tag, which you give with maru device tag

# coordinator/api/src/invitation.rs
problem-invitation-scheme = an invitation begins with maru:// or https://: copy all of it, or ask for another invitation
problem-invitation-host = the coordinator is missing: maru:// or https:// is followed by a host and optionally a port
problem-invitation-path = the address is not an invitation: ask for another invitation
problem-invitation-fragment = the part after # is missing: put the invitation in quotes, or run `maru join -` and paste it there
problem-invitation-version = the invitation is of version { $found }, this program knows { $known }: update Maru on this device
problem-invitation-cut = the invitation is cut short or damaged: copy all of it, or ask for another invitation
problem-invitation-trailing = there is text after the invitation: copy only the invitation
problem-invitation-too-long = the text is too long for an invitation: copy only the invitation

# node-agent/daemon
problem-invitation-two-keys = the invitation already contains a pre-auth key: leave out the other one
problem-invitation-plain-ca = { $server } is plain HTTP, which has no certificates: leave out --ca, or ask for an https:// invitation
problem-joined-elsewhere = this device has joined already
    .detail = this invitation is for another coordinator, but this device belongs to { $url }: run `maru leave` first
problem-joined-here = this device has joined already
    .detail = it belongs to { $url }: nothing to do
problem-join-request = the body is not a valid request for /v1/join: { $reason }
problem-agent-busy = the coordinator is busy: { $said }
problem-agent-ca-unusable = the file of --ca holds no certificate in PEM, or a broken one, or more than 64 KiB: name the authority's certificate
problem-agent-certificate-refused = the coordinator got no certificate: { $said }
problem-agent-certificate-unusable = the certificate that the coordinator sent is not used: { $reason }
problem-agent-clock-ahead = this machine's clock is { $minutes } minutes ahead of the coordinator's: set the wrong one
problem-agent-clock-behind = this machine's clock is { $minutes } minutes behind the coordinator's: set the wrong one
problem-agent-ended = the connection to the coordinator ended
problem-agent-host = the host in { $url } is not a valid name for a certificate
problem-agent-invalid-answer = the coordinator's answer is invalid
problem-agent-invalid-domain = the coordinator calls this network { $refused }, which is not a valid domain: this device accepts no names (the domain needs at least two labels; when it is corrected, leave and join again)
problem-agent-invalid-map = a map of the coordinator is invalid
problem-agent-mesh-address = the coordinator at { $url } has only mesh addresses (100.64.0.0/10, fd7a:115c:a1e0::/48), which cannot be reached without it: join at another address, such as the home machine's in its own network
problem-agent-no-address = the coordinator's name in { $url } has no address: { $source }
problem-agent-no-answer = the coordinator does not answer
problem-agent-no-authorities = this machine has no list of public certificate authorities: install its package `ca-certificates`, or join with --ca FILE
problem-agent-no-channel = the coordinator's channel cannot be opened: { $source }
problem-agent-no-https = the server at { $url } does not speak HTTPS: { $source }
problem-agent-no-keep-alives = the coordinator sends no keep-alives
problem-agent-no-tls = TLS is not available: { $source }
problem-agent-not-a-coordinator = the server at { $url } is not a coordinator
problem-agent-not-in-map = the coordinator's first map lacks this node
problem-agent-not-joining = this device is not joining any network
problem-agent-not-reached = the coordinator at { $url } cannot be reached: { $source }
problem-agent-not-stored = the agent cannot write to { $folder } ({ $reason }): free space on that disk, or what changed is lost at the next start
problem-agent-other-coordinator = this invitation is for another coordinator than the one at { $url }: ask the admin for a new one
problem-agent-other-domain = the coordinator calls this network { $refused } now, but it was { $domain } when this device joined: the new names are refused (to accept them, leave and join again)
problem-agent-other-key = the coordinator at { $url } has another key than the one that this device belongs to
problem-agent-refused = the coordinator refused this device: { $reason }
problem-agent-status = the coordinator answered with status { $status }
problem-agent-still-member = { $reason }; this device keeps its former membership
problem-agent-stops = the agent stops
problem-agent-stream-closed = the coordinator closed the map stream
problem-agent-unknown-node = the coordinator does not know this node
problem-agent-untrusted = the certificate at { $url } cannot be trusted: { $source }; if it comes from an authority of your own, join with --ca FILE
problem-agent-wireguard = WireGuard devices cannot connect ({ $reason }): fix that, the agent tries again
problem-agent-wireguard-firewall = WireGuard devices cannot connect, since the firewall refused the rules that judge their packets ({ $reason }): check that `sudo nft list ruleset` works, and restart this machine if its kernel was updated; the agent tries again
problem-agent-wireguard-internet = WireGuard devices with a full tunnel do not reach the internet, since this machine does not forward packets: run `sysctl -w net.ipv4.ip_forward=1`
problem-agent-wireguard-ipv4 = WireGuard devices reach nothing but this machine, since it does not forward packets: run `sysctl -w net.ipv4.ip_forward=1`
problem-agent-wireguard-no-internet = WireGuard devices with a full tunnel do not reach the internet, since this machine is no way out for them: write internet = true below [wireguard] in agent.toml and restart the agent
problem-agent-wireguard-ipv6 = WireGuard devices reach other devices by IPv4 alone, since this machine does not forward IPv6 packets: run `sysctl -w net.ipv6.conf.all.forwarding=1` (a network card that gets its IPv6 address from a router needs accept_ra = 2 then)
problem-agent-wireguard-names = WireGuard devices find no names, since this machine cannot answer on port 53 ({ $reason }): if another program listens there on all addresses, let it listen on its own alone; the agent tries again
problem-agent-wireguard-port = WireGuard devices cannot connect, since another program has UDP port { $port }: stop it, or choose another port below [wireguard] in agent.toml

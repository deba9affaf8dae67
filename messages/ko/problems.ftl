# 데몬의 문제(RFC 9457). `problem-KIND`는 종류의 제목이고 인자가 없습니다. 다른 id는 문제가 직접 가리키는 메시지입니다. `.detail`은
# 할 일을 알려 줍니다.

problem-api-key = 유효한 API 키가 필요합니다
    .detail = 집 컴퓨터에서 만드세요: sudo maru api-key create NAME
problem-attestation-failed = 기밀 체인의 어떤 노드도 자신을 증명하지 못했습니다
problem-bad-request = 요청이 올바르지 않습니다
problem-body = 요청의 본문이 올바르지 않습니다
problem-body-reason = 요청의 본문이 올바르지 않습니다: { $reason }
problem-body-too-large = 요청의 본문이 너무 큽니다
    .detail = 본문은 최대 1MiB입니다
problem-body-busy = 지금은 요청의 본문을 받을 여유가 없습니다
    .detail = 잠시 뒤 다시 시도하세요
problem-body-cut = 요청의 본문이 중간에 끊겼습니다
    .detail = 본문 전체를 끊김 없이 보내세요
problem-body-late = 요청의 본문이 제때 오지 않았습니다
    .detail = 본문 전체를 끊김 없이 보내세요
problem-busy = 한도에 도달했습니다. 잠시 뒤 다시 시도하세요
problem-changed = 읽은 뒤에 내용이 바뀌었습니다
problem-content-type = 요청의 본문은 application/json이어야 합니다
problem-cut = 모델이 이 대화의 앞부분을 더는 모릅니다
problem-remembered = AI가 기억에 한 줄을 추가했습니다
problem-device = 기기 키가 이 노드와 그 사용자에게 등록되어 있지 않습니다
problem-device-bound = 기기 키가 다른 노드에 등록되어 있습니다
problem-engines-busy = 엔진을 이미 바꾸고 있습니다
    .detail = 끝날 때까지 기다린 뒤 다시 고르세요
problem-engines-stop = `maru up`이 종료되고 있습니다
problem-model-kept = { $reason }
problem-full = 저장한 대화가 한도에 도달했습니다
problem-forbidden = 여기서는 허용되지 않습니다
problem-host = Host가 이 서비스의 이름이 아닙니다
problem-https-only = 관리 API는 HTTPS로만 제공됩니다
    .detail = coordinator.toml에 [tls]를, HTTPS 프록시 뒤라면 [proxy]를 https:// server_url과 함께 설정하고 그 주소를 쓰세요. 암호화되지 않은 HTTP로 보낸 API 키는 중간에서 읽혔을 수 있으니 삭제하세요
problem-identity = 메시에 참여한 기기만 할 수 있습니다
problem-invitation = 쓸 수 있는 초대장이 아닙니다
problem-joined = 이 기기는 이미 참여했습니다
problem-key = 앱의 키가 필요합니다
problem-limit = 이 주소에서 온 요청이 너무 많습니다
problem-media-type = 요청의 미디어 형식을 알 수 없습니다
problem-method = 이 경로에서 쓸 수 없는 메서드입니다
problem-misdirected = 요청이 다른 서버로 왔습니다
problem-model = 답하는 모델이 없습니다
problem-name = 쓸 수 없는 이름입니다
problem-name-label = 이름은 a-z, 0-9, -로 된 1~63자이고 -로 시작하거나 끝날 수 없습니다
problem-name-letters = 이름은 a-z, 0-9, -로 된 1~63자이고 -로 시작하거나 끝날 수 없습니다. "{ $suggestion }"처럼 쓸 수 있습니다
problem-name-user = 사용자 이름은 a-z, 0-9, '.', '_', '-'와 가운데의 '@' 하나로 된 1~63자이고 글자나 숫자로 시작합니다
problem-name-api-key = API 키의 이름은 a-z, 0-9, -로 된 1~63자이고 글자로 시작합니다
problem-name-tag = 태그는 "tag:" 뒤에 a-z, 0-9, -로 된 1~63자를 쓰고 글자로 시작합니다
problem-name-reserved = 집 노드나 네트워크의 서비스를 위해 예약된 이름입니다
problem-name-taken = 이미 쓰이는 이름입니다
problem-network = 지금은 네트워크의 상태를 읽을 수 없습니다
problem-node-gone = 노드가 없습니다
problem-node-self = 이 기기 자신입니다
problem-node-unknown = 네트워크에 그런 이름의 노드가 없습니다
problem-node-unknown-name = 이 기기가 볼 수 있는 노드 가운데 { $name } 이름을 가진 것이 없습니다. `maru status`로 목록을 보세요
problem-not-a-node =
    { $state ->
        [needs_join] 이 기기는 네트워크에 참여하지 않았습니다. sudo maru join - 를 실행하고 초대장을 붙여 넣으세요
        [paused] 이 기기는 일시 중지되었습니다. sudo maru resume으로 터널을 다시 켜세요
       *[other] 이 기기는 실행 중인 노드가 아닙니다. `maru status`로 이유를 확인하세요
    }
problem-no-https = 네트워크에 HTTPS를 제공하는 컴퓨터가 없거나 443번 포트로 연결할 수 없습니다(정책이 허용하나요?)
problem-no-pong = 상대 기기가 응답하지 않습니다
problem-no-pong-of = { $name } 기기가 5초 안에 응답하지 않습니다. 꺼져 있거나 연결할 경로가 없습니다. `maru doctor`로 원인을 찾으세요
problem-node-ambiguous = 같은 이름의 노드가 여러 대입니다
problem-node-ambiguous-name = { $name } 이름을 가진 노드가 여러 대입니다. `maru status`에 나오는 메시 주소를 쓰세요
problem-not-kept = 답은 했지만 이 대화는 저장되지 않았습니다
problem-not-found = 찾을 수 없습니다
problem-no-such =
    { $thing ->
        [user] 그런 사용자가
        [device] 그런 기기가
        [waiting-device] 그런 대기 중인 기기가
        [key] 그런 키가
        [api-key] 그런 API 키가
        [room] 그런 방이
        [wireguard-device] 그런 WireGuard 기기가
       *[record] 그런 레코드가
    } 없습니다
problem-not-root = root만 할 수 있습니다
problem-origin = 웹사이트에서 온 요청은 거절합니다
    .detail = 브라우저의 헤더 없이 프로그램으로 요청하세요. 웹 페이지는 이 API를 쓸 수 없습니다
problem-page = 서비스가 보내지 않는 형식의 응답입니다
problem-path = 그런 경로가 없습니다
problem-plain-http = 암호화되지 않은 HTTP에서 --approved를 준 초대장에는 --force가 필요합니다
    .detail = 중간에서 초대장을 읽는 사람이 바로 기기를 참여시킬 수 있습니다. --approved를 빼고 `maru device approve`로 승인하거나, --force를 추가하세요
problem-policy = 정책이 올바르지 않습니다
problem-policy-replaced = 그사이에 다른 사람이 정책을 바꾸었습니다
    .detail = 지금은 무엇이 열리고 닫히는지 확인한 뒤 다시 적용하세요
problem-ping-rate = 핑이 너무 많습니다
problem-query = 요청의 쿼리가 올바르지 않습니다
problem-query-reason = 요청의 쿼리가 올바르지 않습니다: { $reason }
problem-question = 정책에 관한 이 질문에는 답할 수 없습니다
problem-question-nobody = 네트워크에 "{ $word }" 기기가 없습니다. 기기, 기기가 있는 사용자, 태그 또는 주소 하나를 쓰세요
problem-question-pairs = 이 질문에 해당하는 기기의 쌍이 { $most }개를 넘습니다. 기기를 하나씩 지정하세요
problem-question-same = 출발과 도착이 같은 기기여서 규칙이 필요 없습니다. 다른 기기나 같은 주소 체계의 주소를 쓰세요
problem-question-selector = 출발이나 도착을 알 수 없습니다: { $reason }
problem-rate = 요청이 너무 많습니다
problem-repeated = 이미 받은 메시지입니다
problem-read-only = 이 API 키로는 읽기만 할 수 있습니다
    .detail = 바꿀 수 있는 키를 만드세요: sudo maru api-key create NAME --admin
problem-request = 요청이 올바르지 않습니다
problem-rooms-key = 방을 봉인한 키가 telmeet에 없습니다
    .detail = 방을 만든 컴퓨터에서 키를 복사하거나, 방 없이 시작하려면 var/lib/maru/telmeet 폴더를 옮기세요
problem-route = 쓸 수 없는 경로입니다
problem-route-half-exit = { $route } 경로는 쓸 수 없습니다. 출구 노드는 0.0.0.0/0과 ::/0을 함께 제공해야 합니다
problem-route-mesh = { $route } 경로는 쓸 수 없습니다. 네트워크 자체의 주소와 겹칩니다
problem-route-none-offered = { $device } 기기는 { $route } 경로를 제공하지 않으며, 제공하는 경로가 없습니다. 먼저 그 기기에서 `tailscale set { $option }`을 실행하세요
problem-route-not-offered = { $device } 기기는 { $route } 경로를 제공하지 않습니다. 제공하는 경로({ $offered }) 중에서 고르거나, 먼저 그 기기에서 `tailscale set { $option }`을 실행하세요
problem-route-nowhere = { $route } 경로는 쓸 수 없습니다. 루프백, 링크 로컬 또는 멀티캐스트 범위입니다
problem-sealed = 요청을 열 수 없습니다
problem-server-url = coordinator.toml의 `server_url`은 기기가 참여할 수 있는 주소가 아닙니다
problem-several = 같은 이름의 기기가 여럿입니다. 목록에 있는 코드나 번호를 쓰세요
problem-wrong-code = 가장 최근에 만든 복구 코드가 아닙니다
problem-other-machine = 다른 컴퓨터에서 봉인된 대화입니다
problem-state = 지금 상태에서는 할 수 없습니다
problem-state-addresses = 100.64.0.0/10에 남은 주소가 없습니다. 쓰지 않는 기기를 제거하세요
problem-state-conflict = 지금은 데이터베이스를 쓸 수 없습니다
    .detail = 그사이에 다른 사람이 바꾸었습니다. 다시 시도하세요
problem-state-user-has-devices = 이 사용자에게 기기가 있습니다. 먼저 기기를 제거하거나 거절하세요
problem-state-no-owner = 키 없이 참여한 기기이므로 누구의 기기인지 사용자나 태그를 지정하세요
problem-state-key-owner = 키에는 사용자나 태그가 필요합니다
problem-state-key-waits = 이 키를 쓴 기기가 기다리고 있습니다. 먼저 승인하거나 거절하세요
problem-state-api-keys = API 키가 최대 개수에 도달했습니다. 먼저 하나를 삭제하세요
problem-stopping = 서비스가 종료되고 있습니다
problem-store = 지금은 데이터베이스를 쓸 수 없습니다
problem-tags = 기기가 요청한 태그를 그 소유자가 줄 수 없습니다. 태그를 지정해 승인하거나, 정책의 tagOwners에 소유자를 추가하거나, 기기를 태그 없이 시작하세요
problem-taken = 다른 앱이 쓰는 이름입니다
problem-too-large = 요청이 너무 큽니다
problem-tries = 이 주소에서 잘못된 API 키를 너무 많이 보냈습니다
    .detail = 1분 기다린 뒤 다시 시도하세요
problem-unreachable = 다음 서버에 연결할 수 없습니다
problem-version = 알 수 없는 버전입니다
problem-wireguard-endpoint = 엔드포인트가 아닙니다. 호스트나 주소와 UDP 포트를 쓰세요(예: home.example.org:51820, [2001:db8::1]:51820)
problem-wireguard-expired = { $device } 기기가 만료되었습니다. 먼저 maru device extend { $device }로 연장하세요
problem-wireguard-key-known = 다른 기기가 이 키를 쓰고 있습니다. 새 키를 만드세요
problem-wireguard-no-router = 집 컴퓨터로 알려진 기기가 없습니다. 집 컴퓨터에서 sudo maru up을 실행하거나, --via로 태그 있는 기기를 지정하세요
problem-wireguard-not-a-key = WireGuard 공개 키가 아닙니다. `wg pubkey`가 출력하는 44글자여야 합니다
problem-wireguard-not-offered = { $name } 기기는 WireGuard 기기를 연결해 주지 않습니다. 그 기기의 /etc/maru/agent.toml 끝에 [wireguard] 줄을 적고 sudo systemctl restart maru-agent를 실행하거나, --via로 태그 있는 다른 기기를 지정하세요
problem-wireguard-owner = --user로 기기의 소유자를, 또는 --tag로 태그를 지정하세요
problem-wireguard-several-routers = 집 컴퓨터로 표시된 기기가 여럿입니다. --via로 하나를 고르세요: { $names }
problem-wireguard-untagged = { $name } 기기는 WireGuard 기기를 연결할 수 없습니다. maru device tag로 태그를 주세요

# coordinator/api/src/invitation.rs
problem-invitation-scheme = 초대장은 maru://나 https://로 시작합니다. 전체를 복사하거나 새 초대장을 요청하세요
problem-invitation-host = 코디네이터의 주소가 없습니다. maru://나 https:// 뒤에는 호스트와, 필요하면 포트가 옵니다
problem-invitation-path = 이 주소는 초대장이 아닙니다. 새 초대장을 요청하세요
problem-invitation-fragment = # 뒤의 부분이 없습니다. 초대장을 따옴표로 묶거나, `maru join -`을 실행하고 붙여 넣으세요
problem-invitation-version = 초대장의 버전은 { $found }인데 이 프로그램은 버전 { $known }만 지원합니다. 이 기기의 마루를 업데이트하세요
problem-invitation-cut = 초대장이 잘렸거나 손상되었습니다. 전체를 복사하거나 새 초대장을 요청하세요
problem-invitation-trailing = 초대장 뒤에 다른 글이 있습니다. 초대장만 복사하세요
problem-invitation-too-long = 초대장이라기에는 너무 깁니다. 초대장만 복사하세요

# node-agent/daemon
problem-invitation-two-keys = 초대장에 이미 사전 인증 키가 들어 있습니다. 다른 키를 빼세요
problem-invitation-plain-ca = { $server } 주소는 인증서가 없는 일반 HTTP입니다. --ca를 빼거나 https:// 초대장을 요청하세요
problem-joined-elsewhere = 이 기기는 이미 참여했습니다
    .detail = 이 초대장은 다른 코디네이터의 것인데 이 기기는 { $url }에 속해 있습니다. 먼저 `maru leave`를 실행하세요
problem-joined-here = 이 기기는 이미 참여했습니다
    .detail = { $url }에 속해 있으므로 할 일이 없습니다
problem-join-request = /v1/join에 쓸 수 없는 요청입니다: { $reason }
problem-agent-busy = 코디네이터가 바쁩니다: { $said }
problem-agent-ca-unusable = --ca 파일에 PEM 형식의 인증서가 없거나, 손상되었거나, 64KiB보다 큽니다. 인증 기관의 인증서를 지정하세요
problem-agent-certificate-refused = 코디네이터가 인증서를 받지 못했습니다: { $said }
problem-agent-certificate-unusable = 코디네이터가 보낸 인증서를 쓰지 않습니다: { $reason }
problem-agent-clock-ahead = 이 컴퓨터의 시계가 코디네이터의 시계보다 { $minutes }분 빠릅니다. 틀린 쪽을 맞추세요
problem-agent-clock-behind = 이 컴퓨터의 시계가 코디네이터의 시계보다 { $minutes }분 느립니다. 틀린 쪽을 맞추세요
problem-agent-ended = 코디네이터와의 연결이 끊겼습니다
problem-agent-host = { $url }의 호스트는 인증서에 쓸 수 있는 이름이 아닙니다
problem-agent-invalid-answer = 코디네이터의 응답을 해석할 수 없습니다
problem-agent-invalid-domain = 코디네이터가 알려 준 네트워크 이름({ $refused })이 올바른 도메인이 아니어서 이 기기는 이름을 받아들이지 않습니다. 도메인은 레이블이 둘 이상이어야 합니다. 고쳐진 뒤 네트워크에서 나왔다가 다시 참여하세요
problem-agent-invalid-map = 코디네이터의 네트워크 맵을 해석할 수 없습니다
problem-agent-mesh-address = { $url }의 코디네이터에는 메시 주소(100.64.0.0/10, fd7a:115c:a1e0::/48)만 있어서 메시 없이는 연결할 수 없습니다. 집 컴퓨터의 내부 네트워크 주소처럼 다른 주소로 참여하세요
problem-agent-no-address = { $url }에 있는 코디네이터의 이름을 주소로 바꿀 수 없습니다: { $source }
problem-agent-no-answer = 코디네이터가 응답하지 않습니다
problem-agent-no-authorities = 이 컴퓨터에 공인 인증 기관의 목록이 없습니다. `ca-certificates` 패키지를 설치하거나 --ca FILE로 참여하세요
problem-agent-no-channel = 코디네이터와의 채널을 열 수 없습니다: { $source }
problem-agent-no-https = { $url }의 서버가 HTTPS를 쓰지 않습니다: { $source }
problem-agent-no-keep-alives = 코디네이터에서 연결 유지 신호가 오지 않습니다
problem-agent-no-tls = TLS를 쓸 수 없습니다: { $source }
problem-agent-not-a-coordinator = { $url }의 서버는 코디네이터가 아닙니다
problem-agent-not-in-map = 코디네이터의 첫 네트워크 맵에 이 노드가 없습니다
problem-agent-not-joining = 이 기기는 참여하는 중이 아닙니다
problem-agent-not-reached = { $url }의 코디네이터에 연결할 수 없습니다: { $source }
problem-agent-not-stored = 에이전트가 { $folder }에 쓸 수 없습니다({ $reason }). 디스크 공간을 비우세요. 그러지 않으면 다시 시작할 때 변경 내용이 사라집니다
problem-agent-other-coordinator = 이 초대장은 { $url }에 있는 코디네이터의 것이 아닙니다. 관리자에게 새 초대장을 요청하세요
problem-agent-other-domain = 코디네이터가 알려 준 네트워크 이름({ $refused })이 이 기기가 참여할 때의 이름({ $domain })과 다릅니다. 새 이름은 받아들이지 않습니다. 받아들이려면 네트워크에서 나왔다가 다시 참여하세요
problem-agent-other-key = { $url }에 있는 코디네이터의 키가 이 기기가 속한 코디네이터의 키와 다릅니다
problem-agent-refused = 코디네이터가 이 기기를 거절했습니다: { $reason }
problem-agent-status = 코디네이터의 응답 상태가 { $status }입니다
problem-agent-still-member = { $reason }. 이 기기는 이전 네트워크에 남아 있습니다
problem-agent-stops = 에이전트가 종료되고 있습니다
problem-agent-stream-closed = 코디네이터가 네트워크 맵 스트림을 닫았습니다
problem-agent-unknown-node = 코디네이터가 이 노드를 모릅니다
problem-agent-untrusted = { $url }의 인증서를 신뢰할 수 없습니다: { $source }. 자체 인증 기관이 발급한 인증서이면 --ca FILE로 참여하세요
problem-agent-wireguard = WireGuard 기기가 연결할 수 없습니다({ $reason }). 원인을 해결하면 에이전트가 다시 시도합니다
problem-agent-wireguard-firewall = 방화벽이 WireGuard 기기의 패킷을 검사하는 규칙을 거부하여({ $reason }) WireGuard 기기가 연결할 수 없습니다. `sudo nft list ruleset`이 동작하는지 확인하고, 커널을 업데이트했다면 이 컴퓨터를 다시 시작하세요. 에이전트가 다시 시도합니다
problem-agent-wireguard-internet = 이 컴퓨터가 패킷을 전달하지 않아 전체 터널을 쓰는 WireGuard 기기가 인터넷에 연결할 수 없습니다. `sysctl -w net.ipv4.ip_forward=1`을 실행하세요
problem-agent-wireguard-ipv4 = 이 컴퓨터가 패킷을 전달하지 않아 WireGuard 기기는 이 컴퓨터에만 연결할 수 있습니다. `sysctl -w net.ipv4.ip_forward=1`을 실행하세요
problem-agent-wireguard-no-internet = 이 컴퓨터가 인터넷으로 나가는 길이 되도록 설정되지 않아 전체 터널을 쓰는 WireGuard 기기가 인터넷에 연결할 수 없습니다. agent.toml의 [wireguard] 아래에 internet = true를 적고 에이전트를 다시 시작하세요
problem-agent-wireguard-ipv6 = 이 컴퓨터가 IPv6 패킷을 전달하지 않아 WireGuard 기기는 IPv4로만 다른 기기에 연결할 수 있습니다. `sysctl -w net.ipv6.conf.all.forwarding=1`을 실행하세요(라우터에서 IPv6 주소를 받는 네트워크 카드에는 accept_ra = 2도 필요합니다)
problem-agent-wireguard-names = 이 컴퓨터가 포트 53에서 답할 수 없어({ $reason }) WireGuard 기기가 이름을 찾지 못합니다. 다른 프로그램이 모든 주소의 포트 53을 쓰고 있다면 그 프로그램이 자기 주소에서만 듣게 하세요. 에이전트가 다시 시도합니다
problem-agent-wireguard-port = 다른 프로그램이 UDP 포트 { $port }를 쓰고 있어 WireGuard 기기가 연결할 수 없습니다. 그 프로그램을 멈추거나 agent.toml의 [wireguard]에서 다른 포트를 고르세요

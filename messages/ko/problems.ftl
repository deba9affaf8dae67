# 데몬의 문제(RFC 9457). `problem-KIND`는 종류의 제목이고 인자가 없습니다. 다른 id는 문제가 직접 가리키는 메시지입니다. `.detail`은
# 할 일을 알려 줍니다.

problem-api-key = 이곳에 등록되어 있고 만료되지 않은 API 키가 필요합니다
    .detail = 집 컴퓨터에서 만드세요: sudo maru api-key create NAME
problem-attestation-failed = 기밀 체인의 어떤 노드도 자신을 증명하지 못했습니다
problem-bad-request = 요청을 쓸 수 없습니다
problem-body = 요청의 본문을 쓸 수 없습니다
problem-body-reason = 요청의 본문을 쓸 수 없습니다: { $reason }
problem-body-too-large = 요청의 본문이 너무 큽니다
    .detail = 본문은 최대 1MiB입니다
problem-body-busy = 지금은 요청의 본문을 받을 여유가 없습니다
    .detail = 잠시 뒤 다시 시도하세요
problem-body-cut = 요청의 본문이 중간에 끊겼습니다
    .detail = 본문 전체를 쉬지 않고 보내세요
problem-body-late = 요청의 본문이 제때 오지 않았습니다
    .detail = 본문 전체를 쉬지 않고 보내세요
problem-busy = 한도에 이르렀습니다. 잠시 뒤 다시 시도하세요
problem-content-type = 요청의 본문은 application/json이어야 합니다
problem-device = 기기 키가 이 노드와 그 사용자에게 등록되어 있지 않습니다
problem-device-bound = 기기 키가 다른 노드에 등록되어 있습니다
problem-engines-busy = 엔진을 이미 바꾸고 있습니다
    .detail = 끝날 때까지 기다린 뒤 다시 고르세요
problem-engines-stop = `maru up`이 종료되고 있습니다
problem-model-kept = { $reason }
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
problem-not-found = 찾을 수 없습니다
problem-no-such =
    { $thing ->
        [user] 그런 사용자가
        [device] 그런 기기가
        [waiting-device] 그런 대기 중인 기기가
        [key] 그런 키가
        [api-key] 그런 API 키가
       *[record] 그런 레코드가
    } 없습니다
problem-not-root = root만 할 수 있습니다
problem-origin = 웹사이트에서 온 요청은 거절합니다
    .detail = 브라우저의 헤더 없이 프로그램으로 요청하세요. 웹 페이지는 이 API를 쓸 수 없습니다
problem-page = 서비스가 보내지 않는 형식의 응답입니다
problem-path = 그런 경로가 없습니다
problem-plain-http = 암호화되지 않은 HTTP에서 --approved를 준 초대장에는 --force가 필요합니다
    .detail = 중간에서 초대장을 읽는 사람이 바로 기기를 참여시킬 수 있습니다. --approved를 빼고 `maru device approve`로 승인하거나, --force를 추가하세요
problem-policy = 쓸 수 없는 정책입니다
problem-policy-replaced = 그사이에 다른 사람이 정책을 바꾸었습니다
    .detail = 지금은 무엇이 열리고 닫히는지 확인한 뒤 다시 적용하세요
problem-query = 요청의 쿼리를 쓸 수 없습니다
problem-query-reason = 요청의 쿼리를 쓸 수 없습니다: { $reason }
problem-question = 정책에 관한 이 질문에는 답할 수 없습니다
problem-question-nobody = 네트워크에 "{ $word }" 기기가 없습니다. 기기, 기기가 있는 사용자, 태그 또는 주소 하나를 쓰세요
problem-question-pairs = 이 질문에 해당하는 기기의 쌍이 { $most }개를 넘습니다. 기기를 하나씩 지정하세요
problem-question-same = 출발과 도착이 같은 기기여서 규칙이 필요 없습니다. 다른 기기나 같은 주소 체계의 주소를 쓰세요
problem-question-selector = 출발이나 도착을 알 수 없습니다: { $reason }
problem-rate = 요청이 너무 많습니다
problem-read-only = 이 API 키로는 읽기만 할 수 있습니다
    .detail = 바꿀 수 있는 키를 만드세요: sudo maru api-key create NAME --admin
problem-request = 요청을 쓸 수 없습니다
problem-route = 쓸 수 없는 경로입니다
problem-route-half-exit = { $route } 경로는 쓸 수 없습니다. 출구 노드는 0.0.0.0/0과 ::/0을 함께 제공해야 합니다
problem-route-mesh = { $route } 경로는 쓸 수 없습니다. 네트워크 자체의 주소와 겹칩니다
problem-route-none-offered = { $device } 기기는 { $route } 경로를 제공하지 않으며, 제공하는 경로가 없습니다. 먼저 그 기기에서 `tailscale set { $option }`을 실행하세요
problem-route-not-offered = { $device } 기기는 { $route } 경로를 제공하지 않습니다. 제공하는 경로({ $offered }) 중에서 고르거나, 먼저 그 기기에서 `tailscale set { $option }`을 실행하세요
problem-route-nowhere = { $route } 경로는 쓸 수 없습니다. 루프백, 링크 로컬 또는 멀티캐스트 범위입니다
problem-sealed = 요청을 열 수 없습니다
problem-server-url = coordinator.toml의 `server_url`은 기기가 참여할 수 있는 주소가 아닙니다
problem-several = 같은 이름의 기기가 여럿입니다. 목록에 있는 코드나 번호를 쓰세요
problem-state = 지금 상태에서는 할 수 없습니다
problem-state-conflict = 지금은 데이터베이스를 쓸 수 없습니다
    .detail = 그사이에 다른 사람이 바꾸었습니다. 다시 시도하세요
problem-state-user-has-devices = 이 사용자에게 기기가 있습니다. 먼저 기기를 제거하거나 거절하세요
problem-state-no-owner = 키 없이 참여한 기기이므로 누구의 기기인지 사용자나 태그를 지정하세요
problem-state-key-owner = 키에는 사용자나 태그가 필요합니다
problem-state-key-waits = 이 키를 쓴 기기가 기다리고 있습니다. 먼저 승인하거나 거절하세요
problem-state-api-keys = API 키가 최대 개수에 이르렀습니다. 먼저 하나를 삭제하세요
problem-stopping = 서비스가 종료되고 있습니다
problem-store = 지금은 저장소를 쓸 수 없습니다
problem-tags = 기기가 주인이 줄 수 없는 태그를 요청합니다. 직접 태그를 주거나, 정책의 tagOwners에 주인을 추가하거나, 태그 없이 기기를 시작하세요
problem-taken = 다른 앱이 쓰는 이름입니다
problem-too-large = 요청이 너무 큽니다
problem-tries = 이 주소에서 틀린 API 키가 너무 많이 왔습니다
    .detail = 1분 기다린 뒤 다시 시도하세요
problem-unreachable = 다음 서버에 연결할 수 없습니다
problem-version = 이곳에서 모르는 버전입니다

# `maru`가 출력하는 내용입니다. `|`는 표의 머리글이나 항목의 이름을 나눕니다.

yes = 예
no = 아니요
never = 없음

## cli/src/command_line.rs
usage-error = 오류: { $problem }
usage-tip = {"  "}참고: { $tip }
usage = 사용법: { $usage }
usage-help = 자세한 내용은 '--help'를 참고하세요.
unknown-argument = '{ $argument }' 인자를 알 수 없습니다
unknown-command = '{ $command }' 명령을 알 수 없습니다
arguments-missing = 다음 필수 인자가 없습니다:{ $arguments }
argument-repeated = '{ $argument }' 인자는 한 번만 쓸 수 있습니다
arguments-conflict = '{ $argument }' 인자는 '{ $other }' 인자와 함께 쓸 수 없습니다
arguments-conflict-all = '{ $argument }' 인자는 다음 인자와 함께 쓸 수 없습니다:{ $others }
value-missing = '{ $argument }' 인자에 값이 없습니다
value-missing-of =
    '{ $argument }' 인자에 값이 없습니다
    {"  "}[가능한 값: { $values }]
value-not-of =
    '{ $argument }' 인자에 '{ $value }' 값을 쓸 수 없습니다
    {"  "}[가능한 값: { $values }]
value-wrong = '{ $argument }' 인자에 '{ $value }' 값을 쓸 수 없습니다: { $reason }
value-too-many = '{ $argument }' 인자는 값을 더 받지 않습니다: '{ $value }'
similar-argument = 비슷한 인자가 있습니다: { $names }
similar-command = 비슷한 명령이 있습니다: { $names }
similar-commands = 비슷한 명령이 있습니다: { $names }
similar-value = 비슷한 값이 있습니다: { $names }

## cli/src/client.rs
coordinator-away = 여기서 코디네이터가 실행되고 있지 않습니다. 마루를 시작하거나(`sudo systemctl start maru.target` 또는 `sudo maru up`), 집 컴퓨터에서 이 명령을 실행하거나, --server URL로 주소를 지정하세요
agent-away = 여기서 에이전트가 실행되고 있지 않습니다. `sudo systemctl start maru-agent`로, 또는 다른 터미널에서 `sudo maru-agent`로 시작하세요
gateway-away = 여기서 게이트웨이가 실행되고 있지 않습니다. 마루를 시작하거나(`sudo systemctl start maru.target` 또는 `sudo maru up`) 집 컴퓨터에서 이 명령을 실행하세요
telmeet-away = 여기서 telmeet이 실행되고 있지 않습니다. 마루를 시작하거나(`sudo systemctl start maru.target` 또는 `sudo maru up`) 집 컴퓨터에서 이 명령을 실행하세요
participant-away = 여기서 참여자(maru-participant)가 실행되고 있지 않습니다. 마루를 시작하거나(`sudo systemctl start maru.target` 또는 `sudo maru up`) 집 컴퓨터에서 이 명령을 실행하세요
up-away = 여기서 `maru up`이 실행되고 있지 않습니다. `sudo maru up`으로 시작하세요
api-key-unsendable = API 키를 보낼 수 없습니다
no-https-client = HTTPS 클라이언트를 만들 수 없습니다
strange-answer = { $daemon }의 응답이 { $status }입니다. { $advice }
try-again-in = { $problem }. { $seconds }초 뒤에 다시 시도하세요
other-version = 응답이 다른 버전의 마루에서 왔습니다. 둘 다 업데이트하세요
coordinator-version = { $server }의 코디네이터는 버전 { $other }이고 이 프로그램은 버전 { $version }입니다. 오래된 쪽을 업데이트하세요
not-a-coordinator = { $server }의 응답은 코디네이터의 응답이 아닙니다. { $advice }
restart-daemon = 그 데몬을 다시 시작하세요
check-server-address = 코디네이터의 주소가 맞는지 확인하세요
no-answer-at = { $daemon }에서 응답이 없습니다
certificate-untrusted = { $server }의 인증서를 신뢰할 수 없습니다({ $tls }). 그 인증서를 발급한 기관을 --ca FILE로 지정하세요
no-https-there = { $server }에서 HTTPS를 쓰지 않습니다({ $tls }). 그곳의 coordinator.toml에 [tls]를 설정하거나 앞에 있는 프록시의 주소를 쓰세요
cannot-reach = { $server }에 연결할 수 없습니다({ $cause }). 주소가 맞는지, 코디네이터가 실행 중인지 확인하세요
root-only = root만 할 수 있습니다. 같은 명령을 sudo로 실행하세요

## cli/src/coordinator.rs
api-key-over-http = API 키는 암호화되지 않은 HTTP로 보내지 않습니다. 주소는 https://로 시작해야 합니다
needs-server = --api-key-file과 --ca는 --server URL과 함께 쓰세요
key-variable-unusable = { $key_variable }의 값을 쓸 수 없습니다
no-api-key-file = 코디네이터의 API 키가 없습니다. --api-key-file로 파일을 지정하세요
no-api-key = 코디네이터의 API 키가 없습니다. 집 컴퓨터에서 `sudo maru api-key create NAME`으로 만들어 이곳의 { $path }에 넣거나, 파일을 --api-key-file로 지정하세요
file-unusable = { $path } 파일을 쓸 수 없습니다
not-an-api-key = API 키가 들어 있지 않습니다. API 키는 { $prefix }로 시작합니다

## cli/src/secret_file.rs
file-unreadable = { $path } 파일을 읽을 수 없습니다. 이름을 확인하세요
secret-readable = { $path } 파일의 { $what }를 다른 사용자가 읽을 수 있습니다. chmod 600을 실행하고, 이미 읽혔을지도 모르면 새로 만드세요
not-a-secret = { $what }가 들어 있지 않습니다. ASCII 한 단어여야 합니다

## cli/src/duration.rs
not-a-duration = 90d나 1h30m처럼 숫자와 단위로 쓰세요

## cli/src/number.rs
not-in-range = { $first }부터 { $last }까지의 숫자를 쓰세요

## cli/src/route.rs
not-a-route = 경로는 192.168.1.0/24 같은 프리픽스나 "{ $exit }"입니다
routes-waiting = 대기 중인 경로 { $waiting }개: maru route approve DEVICE ROUTE 또는 maru route reject DEVICE ROUTE

## cli/src/policy.rs
policy-acceptable = 적용할 수 있는 정책입니다
correct-policy = 아무것도 바꾸지 않았습니다. 정책을 고친 뒤 다시 적용하세요
policy-not-confirmed = 아무것도 바꾸지 않았습니다. --yes를 주면 묻지 않고 적용합니다
nothing-changed = 아무것도 바꾸지 않았습니다
policy-in-force = 정책을 적용했습니다
refused-advice = { $why }. { $advice }
put-in-force = 적용할까요? [y/N]
no-confirmation = 답을 읽을 수 없습니다
no-port = "{ $text }"에 포트가 없습니다. server:22나 [fd7a:115c:a1e0::1]:22처럼 DST:PORT로 쓰세요
no-standard-input = 표준 입력을 읽을 수 없습니다
file-not-read = { $path } 파일을 읽을 수 없습니다

## cli/src/policy/show.rs
policy-warning = 경고: { $place }: { $reason }
no-policy-tests = 정책에 테스트가 없습니다
no-rule = 허용하는 규칙이 없음
policy-place = { $line }행 { $column }열: { $place }

## cli/src/audit.rs
audit-no-dial = 외부로 나가는 연결(dial)이 없습니다. AI와 나눈 대화는 이 컴퓨터의 컨테이너를 벗어나지 않습니다
audit-server = 서버는 읽은 내용을 다른 곳에 넘길 수 있고, 마루는 그것을 알 수 없습니다
audit-relay = 릴레이는 이 집의 주소를, 그 게이트웨이는 어느 노드에 요청이 가는지를 압니다. 한 운영자가 둘 다 운영하면 누가 묻는지 그 운영자에게 숨길 수 없습니다
audit-rooms = 방: 누가 어느 방에 있는지, 누가 언제 얼마나 보내는지, 사람과 방의 이름은 이 컴퓨터의 root가 읽을 수 있습니다
audit-rooms-plain = 방 { $rooms }개 중 { $plain }개는 앱이 암호화하지 않습니다. 그곳의 대화는 root와 telmeet이 읽을 수 있습니다. `maru rooms list`로 확인하세요
audit-rooms-unknown = 암호화되지 않은 방이 몇 개인지 알 수 없습니다: { $error }
audit-tpm = 노드의 TPM이 계산한 값은 암호화되지 않고 버스를 지납니다. 그 컴퓨터에서 버스를 읽을 수 있는 사람은 그 노드에 보낸 질문을 열 수 있습니다
audit-key-file = 대화: 이 컴퓨터의 키가 암호 없이 { $path } 파일에 있습니다. root와, 디스크가 암호화되지 않았다면 이 디스크를 훔친 사람이 대화를 읽을 수 있습니다. `sudo maru passphrase set`으로 봉인하세요
audit-key-passphrase = 대화: 이 컴퓨터의 키가 암호로 봉인되어 있습니다. 이 디스크를 훔친 사람은 대화의 수와 시각과 길이를 알 수 있고, 암호를 시험해 볼 수 있습니다
audit-key-tpm = 대화: 이 컴퓨터의 TPM이 컴퓨터의 키를 봉인합니다. 컴퓨터 없이 이 디스크만 훔친 사람은 대화의 수와 시각과 길이를 알 수 있고, 암호를 시험해 볼 수 있습니다. 컴퓨터 전체를 훔친 사람은 켜서 읽을 수 있습니다
audit-key-host = 대화: 같은 디스크에 있는 systemd의 호스트 키가 컴퓨터의 키를 봉인합니다. root와, 디스크가 암호화되지 않았다면 이 디스크를 훔친 사람이 대화를 읽을 수 있습니다. 이 컴퓨터에는 이를 막을 TPM이 없으며, `sudo maru passphrase set`이 막아 줍니다
audit-key-none = 대화: 이 컴퓨터에는 아직 키가 없습니다. `maru up`이 만듭니다
audit-key-unknown = 대화: 이 컴퓨터의 키를 무엇이 보호하는지 알 수 없습니다: { $error }
audit-key-backup = 대화: 백업에는 이 컴퓨터의 키가 없습니다. 백업을 훔친 사람은 대화의 수와 시각과 길이를 알 수 있고, 어떤 사람의 복구 코드까지 가졌다면 그 사람의 대화를 읽을 수 있습니다
audit-workspace = 작업 공간(workspace): 누군가 people/ 아래에 둔 파일을 포함해 그 안의 파일은 봉인되지 않습니다. 이 디스크나 백업을 훔친 사람이 읽을 수 있습니다

## cli/src/user.rs
user-created = { $name } 사용자를 만들었습니다
user-renamed = 사용자 이름을 바꾸었습니다: { $name } → { $new }
policy-names-old = 이제 없는 { $name } 사용자가 정책에 남아 있습니다. `maru policy set`으로 고치세요
policy-names-new = 정책에 { $new } 사용자가 이미 있어서 그 규칙이 이제 이 사용자에게 적용됩니다
user-removed = { $name } 사용자를 삭제했습니다
user-unknown = { $name } 사용자가 없습니다. `maru user list`로 확인하고, 이미 삭제한 사용자는 user:N으로 주세요
user-forget-asks = 게이트웨이가 보관하는 { $name } 사용자의 대화, 기억, 기기 키, 사용량을 삭제하며 아무도 되돌릴 수 없습니다. 삭제할까요? [y/N]
user-forget-needs-yes = 물어볼 터미널이 없어 아무것도 삭제하지 않았습니다. --yes를 주세요
user-not-forgotten = { $name } 사용자의 것은 아무것도 삭제하지 않았습니다
user-forgotten = { $name } 사용자의 대화 { $conversations }개와 그 키, 기억, 기기 키 { $device_keys }개, { $usage_days }일분의 사용량을 삭제했습니다
user-forgotten-not = 삭제하지 않은 것: 이전에 만든 백업, 방과 { $name } 사용자가 방에 쓴 내용, 계정. 승인된 기기는 새 대화를 시작할 수 있습니다. `maru device list`와 `maru user remove`를 확인하세요.

## cli/src/machine_key
remedy-machine-key = 대화를 보관한 컴퓨터에서 복사하세요. 다른 곳으로 옮기면 새 키로 시작하며, 그때는 복구 코드로만 대화를 열 수 있습니다
machine-key-damaged = var/lib/maru/machine-key.json 파일이 손상되었습니다. 이 키를 만든 컴퓨터에서 복사하세요
machine-key-new = 이 컴퓨터의 새 키를 만들었습니다. 이 키로는 이곳에 저장된 대화를 열 수 없습니다. 이전 키를 { $path } 파일로 복사하거나, 각자 복구 코드로 여세요(`maru chat --recover`)
machine-key-made-meanwhile = 다른 `maru`가 방금 이 컴퓨터의 키를 만들었습니다. 다시 시도하세요
machine-key-not-overwritten = 이 컴퓨터의 키를 저장했지만 이전 파일을 덮어쓰지 못했습니다. 그 내용이 아직 디스크에 남아 있을 수 있습니다
machine-key-not-handed-over = { $path } 폴더로 이 컴퓨터의 키를 게이트웨이에 넘길 수 없습니다
machine-key-not-bound = systemd-creds가 방금 봉인한 것을 열지 못합니다. 아무것도 바꾸지 않았습니다
machine-key-closed = 이 컴퓨터가 자기 키를 더는 열지 못해({ $error }) 암호가 필요합니다. `sudo maru passphrase unlock`을 실행한 다음 `sudo maru passphrase seal`을 실행하세요. 아무것도 삭제하지 않았습니다
machine-key-without-tpm = 이 컴퓨터의 TPM이 키를 봉인하지 못해 키를 파일에 두었습니다({ $error }). 고친 뒤 `sudo maru passphrase seal`을 실행하세요
creds-not-run = systemd의 프로그램 systemd-creds를 실행할 수 없습니다
creds-failed = systemd-creds: { $said }

## cli/src/passphrase
passphrase = 암호
passphrase-ask = 이 컴퓨터 키의 암호
passphrase-ask-new = 이 컴퓨터 키의 새 암호
passphrase-ask-again = 새 암호 다시 입력
passphrase-needed = 이 컴퓨터의 키에 암호가 있는데 물어볼 터미널이 없습니다. --passphrase-file을 주세요
passphrase-wrong = 이 컴퓨터 키의 암호가 아닙니다. 아무것도 바꾸지 않았습니다
passphrase-short = 암호는 { $min }자 이상이어야 합니다. 이 디스크를 가진 사람은 많은 암호를 시험해 볼 수 있습니다. 아무것도 바꾸지 않았습니다
passphrases-differ = 두 암호가 다릅니다. 아무것도 바꾸지 않았습니다
passphrase-set = 이 컴퓨터의 키를 이 암호로 봉인했습니다. 다음에 `maru up`을 시작할 때부터 암호가 필요합니다.
passphrase-lost = 잃어버린 암호는 되찾을 수 없습니다. 그때는 복구 코드로만 대화를 열 수 있습니다(`maru chat --recovery-code`).
passphrase-none = 이 컴퓨터에는 아직 키가 없습니다.
passphrase-removed = 이 컴퓨터의 키가 암호 없이 { $path } 파일에 있습니다. root와 이 디스크를 가져간 사람이 읽을 수 있습니다.
passphrase-sealed-tpm = 이 컴퓨터의 TPM이 컴퓨터의 키를 봉인합니다. 키는 디스크에 그대로 놓여 있지 않습니다. 컴퓨터는 스스로 시작합니다.
passphrase-sealed-host = systemd의 호스트 키가 컴퓨터의 키를 봉인합니다. 이제 /var/lib/maru만 복사해서는 대화를 열 수 없습니다. 호스트 키는 같은 디스크에 있으므로 디스크를 훔친 사람은 여전히 열 수 있습니다. 컴퓨터는 스스로 시작합니다.
passphrase-made = 이 컴퓨터가 키를 더는 열지 못하면 이 암호로만 열 수 있습니다. 적어서 이 컴퓨터와 다른 곳에 두세요. 다시 보여 주지 않습니다. `sudo maru passphrase set`으로 다른 암호를 정할 수 있습니다.
stdin-unreadable = 표준 입력을 읽을 수 없습니다

## cli/src/app.rs
app-removed = 프로그램 목록에서 { $name } 항목을 삭제했습니다
app-address = 키는 지금 한 번만 표시됩니다. OpenAI 클라이언트는 http://{ $address }/v1 주소에, Ollama 클라이언트는 http://{ $address } 주소에 Bearer 토큰으로 이 키를 쓰세요.
app-no-address = 키는 지금 한 번만 표시됩니다. 아직 이 컴퓨터의 프로그램은 게이트웨이에 접속할 수 없습니다. etc/maru/agent.toml의 해당 [[service]]에 local = ["127.0.0.1:{ $port }"]를 추가하고 마루를 다시 시작하세요.

## cli/src/api_key.rs
api-key-removed = API 키를 삭제했습니다: { $id } { $name }

## cli/src/key.rs
key-expired = { $id }번 키를 만료시켰습니다
key-removed = { $id }번 키를 삭제했습니다

## cli/src/fingerprint.rs
not-a-fingerprint = 지문은 0123-4567-89ab-cdef-…처럼 숫자와 a~f를 네 글자씩 여덟 묶음으로 씁니다

## cli/src/join.rs
one-standard-input = 표준 입력으로는 둘 중 하나만 받을 수 있습니다. 키는 --key-file FILE로 지정하세요
coordinator-silent = 코디네이터가 응답하지 않습니다
agent-tries-on = { $problem }. 에이전트가 계속 시도하며, 진행 상황은 `maru status`로 볼 수 있습니다
not-pem = { $path } 파일이 PEM 형식이 아닙니다
standard-input-unusable = 표준 입력의 내용을 쓸 수 없습니다
standard-input-no-text = 표준 입력이 텍스트가 아닙니다
invitation-has-key = 초대장에 이미 키가 들어 있습니다. --key와 --key-file을 빼세요

## invitations
invitation-use = { $user } 님의 기기 한 대에서 { $expires }까지 쓸 수 있습니다. 그 기기에서 sudo maru join - 를 실행하고 초대장을 붙여 넣으세요. 초대장을 가진 사람은 누구나 참여할 수 있으니 다른 사람에게 보내지 마세요.
invitation-other-apps = 마루가 아닌 앱의 경우: { $gap }. 해결 방법은 `maru doctor`로 볼 수 있습니다.
invitation-link = 휴대전화나 다른 컴퓨터에서는 링크를 열거나 카메라로 코드를 비추세요.
apps-plain = 연결이 끊긴 일반 Tailscale 앱은 2분 안에 443번 포트로 다시 연결하려 하지만 암호화되지 않은 HTTP에서는 그 포트에서 응답하는 것이 없습니다. 휴대전화에는 443번 포트와 공인 인증서를 쓰는 HTTPS가 필요합니다
apps-plain-inside = 휴대전화에는 443번 포트와 공인 인증서를 쓰는 HTTPS가 필요한데 이 주소는 암호화되지 않은 HTTP입니다
apps-port = 휴대전화에는 443번 포트의 공인 인증서가 필요한데 이 주소는 { $port }번 포트입니다
apps-set-tls = etc/maru/coordinator.toml에 [tls]와 https:// `server_url`을 설정하세요(docs/configuration.md)
apps-set-port = 공유기가 443번 포트를 `listen`으로 보내도록 설정하고 `server_url`에서 포트를 빼세요

## join, leave
left = 이 기기가 네트워크에서 나왔습니다.
joined = 이 기기의 이름은 { $name }.{ $network }입니다. 코디네이터는 { $network } 아래의 이름만 정할 수 있습니다. 다음: maru chat
joined-without-names = 이 기기의 이름은 { $name }입니다. 이 네트워크에서는 이름으로 접속할 수 없습니다. 다음: maru chat
waiting-for-approval =
    관리자의 승인을 기다리고 있습니다. 집에 있는 컴퓨터에서 maru device list, 그다음 maru device approve { $device } 명령을 실행하세요. { $page }
    승인되면 maru status에서 이 네트워크의 도메인을 볼 수 있습니다.
paste-invitation = 초대장을 붙여 넣고 Enter를 두 번 누르세요.
paste-key = 키를 붙여 넣고 Enter를 누르세요.
pre-auth-key = 사전 인증 키
api-key = API 키

## maru up: once everything runs
guide =
    마루가 켜졌습니다. 네트워크 { $network }, 코디네이터 { $server_url }, 기기 { $members }대, 승인 대기 { $waiting }대.
    AI 게이트웨이의 지문: { $gateway }
guide-invite = NAME 님의 기기를 위한 초대장
guide-list = 참여한 기기와 기다리는 기기 목록
guide-approve = 기다리는 기기 승인
guide-chat = 참여한 기기에서 AI와 대화
guide-end = Ctrl-C를 누르면 모두 멈춥니다.

## chat: the gateway's identity
gateway-changed = { $network }의 AI 게이트웨이가 전과 다른 신원을 제시해서 아무것도 보내지 않았습니다. 알고 있던 지문: { $known }, 지금 지문: { $offered }. 게이트웨이를 새로 설치했다면 집에서 `maru up`이 보여 주는 지문을 관리자에게 물어보고, 지금 지문과 같을 때에만 `maru chat --accept-identity { $offered }` 명령으로 계속하세요
gateway-not-offered = 지금 네트워크가 제시한 게이트웨이의 지문({ $offered })이 { $accepted } 지문과 다릅니다. 아무것도 받아들이지 않았고 아무것도 보내지 않았습니다

## devices
device-heads = 번호 | 이름 | 호스트 이름 | 상태 | 사용자 | 태그 | 주소 | 온라인 | 마지막 접속
device-waiting-heads = 대기 | 코드 | 호스트 이름 | 시스템 | 요청 주소 | 키 | 사용자 | 태그
devices-waiting = 기기 { $count }대가 승인을 기다립니다. maru device approve CODE 또는 maru device reject CODE를 실행하세요. 기기가 스스로 알린 정보는 증거가 되지 않으니 코드나 키를 그 기기의 페이지와 비교하세요.
device-labels = 번호 | 이름 | 호스트 이름 | 시스템 | 상태 | 코드 | 요청 주소 | 요청한 태그 | 사용자 | 태그 | 주소 | 노드 키 | 만든 때 | 온라인 | 마지막 접속 | 엔드포인트 | 키 만료 | 임시 기기 | 경로
device-state =
    { $state ->
        [pending] 승인 대기
        [approved] 승인됨
       *[expired] 만료됨
    }
device-approved = 기기를 승인했습니다: { $device }
device-rejected = 기기를 거절했습니다: { $device }
device-renamed = 기기의 이름을 바꾸었습니다: { $device }
device-tagged = 기기의 태그를 바꾸었습니다: { $device }
device-expired = 기기의 키를 만료시켰습니다: { $device }
device-removed = 기기를 제거했습니다: { $device }
device-extended = 기기의 키를 { $until }까지 연장했습니다: { $device }
device-extended-for-ever = 기기의 키가 만료되지 않습니다: { $device }

## status
status-labels = 상태 | 문제 | 네트워크 | 이름 | 주소 | 키 만료 | 코디네이터 | 릴레이 | 릴레이를 거치는 기기 | 이름 조회 | 게이트웨이 | 게이트웨이 지문 | 공개 인증서 | 경로 | WireGuard 기기 | 방 | 방의 AI | 기밀 모델
status-state =
    { $state ->
        [needs_join] 참여 필요
        [joining] 참여하는 중
        [waiting_for_approval] 승인 대기
        [running] 실행 중
        [paused] 일시 중지
       *[expired] 만료됨
    }
status-certificate = { $name }: { $ends }까지
status-no-certificate = { $name }: { $problem }
status-exit-node = 출구 노드 { $name }
status-exit-node-no-resolver = 출구 노드 { $name }: 이 노드를 통해 인터넷 이름을 찾을 수 없습니다. agent.toml에 exit_node_dns를 설정하세요
status-no-exit-node = 출구 노드 { $name }: 쓸 수 없어 이 기기에서 아무것도 나가지 않습니다
status-accepted-route = { $route }: { $node } 경유
status-offered-route = { $route } 제공
status-unapproved-route = { $route } 제공, 승인되지 않음
status-unforwarded-route = { $route } 제공, 하지만 이 컴퓨터가 패킷을 전달하지 않음
status-shields-up = 들어오는 연결 차단
status-wireguard =
    { $kind ->
        [kernel] { $count }대, 커널이 처리, UDP 포트 { $port }
        [userspace] { $count }대, 에이전트가 처리(커널에 WireGuard가 없음), UDP 포트 { $port }
       *[none] { $count }대, UDP 포트 { $port }에서 연결을 받지 않음
    }
status-rooms-answer = { $server }: 응답합니다
status-rooms-silent = { $server }: 응답하지 않습니다
status-ai-device = { $user_id }, 기기 { $device_id }, 키 { $key }
status-simulated = { $name }의 SIMULATED 증거를 받아들입니다. 이 증거로는 아무것도 증명되지 않습니다
connected = 연결됨
not-connected = 연결 안 됨
peer-heads = 기기 | 사용자 | 태그 | 주소 | 온라인 | 경로 | 핸드셰이크 후 | 받음 | 보냄
next-needs-join = 이 기기는 네트워크에 참여하지 않았습니다. sudo maru join - 를 실행하고 초대장을 붙여 넣으세요
next-joining = 코디네이터가 아직 응답하지 않았거나 인터페이스가 아직 준비되지 않았습니다.
next-waiting = 집 컴퓨터에서 maru device list, 그다음 maru device approve CODE를 실행하세요
next-expired = 키가 만료되었습니다. 초대장을 요청한 뒤 sudo maru join - 를 실행하세요
next-paused = 이 기기는 일시 중지되었습니다. sudo maru resume으로 터널을 다시 켜세요
next-running = 이 기기는 네트워크의 노드입니다.

watch-coordinator = 코디네이터: { $state }
watch-relay = 릴레이 { $name }: { $state }
watch-peer =
    { $online ->
        [yes] { $name }: 온라인, { $path }
        [no] { $name }: 오프라인, { $path }
       *[unknown] { $name }: { $path }
    }
watch-gone = { $name }: 사라짐

## ping, whois, pause
ping-answer = { $name } ({ $address }) 기기가 { $ms } ms 만에 응답했습니다, { $path }
ping-relayed = { $name } ({ $address }) 기기가 { $ms } ms 만에 응답했습니다, 릴레이 { $relay }
ping-not-direct = { $name } 기기의 직접 응답이 없습니다. maru doctor로 원인을 찾아 보세요
whois-labels = 이름 | 사용자 | 태그 | 주소 | 온라인 | 번호 | 이 기기
paused = 일시 중지했습니다. sudo maru resume을 실행할 때까지 터널이 꺼져 있고 네트워크에서 이 기기에 연결할 수 없습니다
resumed = 터널을 다시 켰습니다. 네트워크가 응답하는지는 maru status에 나옵니다

## tables of the admin's other commands
app-heads = 이름 | 만든 때 | 마지막 사용
app-labels = 이름 | 키 | 만든 때
api-key-heads = 번호 | 이름 | 권한 | 상태 | 만든 때 | 만료
api-key-labels = 번호 | 이름 | 키 | 권한 | 만료
api-key-may =
    { $access ->
        [admin] 관리
       *[read] 읽기
    }
key-heads = 번호 | 사용자 | 태그 | 상태 | 사용 횟수 | 재사용 | 승인됨 | 만료
key-labels = 번호 | 키 | 만료
key-state =
    { $state ->
        [valid] 사용 가능
        [used] 사용됨
       *[expired] 만료됨
    }
user-heads = 번호 | 이름 | 기기 | 만든 때
route-heads = 기기 | 이름 | 경로 | 상태 | 제공 | 사용 중 | 문제
route-state =
    { $state ->
        [waiting] 승인 대기
        [approved] 승인됨
        [approved_by_policy] 정책으로 승인됨
        [rejected] 거절됨
       *[unusable] 사용 불가
    }
route-problem =
    { $reason ->
        [mesh] 네트워크 자체의 주소와 겹칩니다
        [nowhere] 루프백, 링크 로컬 또는 멀티캐스트 범위입니다
       *[half_exit] 출구 노드는 0.0.0.0/0과 ::/0을 함께 제공해야 합니다
    }
route-not-offered = 지금은 제공하지 않음
route-in-use = 사용 중
wireguard-heads = ID | 이름 | 사용자 | 태그 | 주소 | 상태 | 라우터 | 핸드셰이크 | 접속한 곳 | 받음 | 보냄
wireguard-labels = ID | 이름 | 상태 | 사용자 | 태그 | 주소 | 공개 키 | 라우터 | 라우터의 키 | 엔드포인트 | 허용 IP | DNS | 전체 터널 | 연결 유지 | 만든 때 | 만료 | 마지막 핸드셰이크 | 마지막으로 접속한 곳 | 받은 바이트 | 보낸 바이트
wireguard-ago = { $ago } 전
wireguard-added = { $name } 기기는 { $router } 기기를 거쳐 연결됩니다. WireGuard 앱으로 코드를 스캔하거나 설정을 가져오세요. 한 번만 표시되며, 이 설정을 가진 사람은 누구나 이 기기로 접속할 수 있습니다. 밖에서 접속하려면 집에서 엔드포인트의 UDP 포트가 열려 있어야 합니다.
wireguard-added-key = { $name } 기기는 { $router } 기기를 거쳐 연결됩니다. 이 공개 키에 맞는 개인 키를 설정에 넣으세요.
wireguard-expired = { $name } 기기가 만료되어 접속할 수 없습니다: maru device extend { $name }
wireguard-offered = 이전 버전에서 설정한 집에 없던 [wireguard] 항목을 { $path } 파일에 추가하고 에이전트를 다시 시작합니다. 이제 이 컴퓨터가 WireGuard 기기를 연결합니다
wireguard-served = WireGuard 기기 { $count }대를 라우터가 연결하고 있습니다
wireguard-problem =
    { $reason ->
        [router_gone] { $name }: 이 기기를 네트워크에 연결하던 기기가 없어졌습니다. maru wireguard rotate { $name } --via DEVICE로 다른 기기를 고르고 새 코드를 스캔하세요
        [router_untagged] { $name }: 이 기기를 네트워크에 연결하는 { $router }에 태그가 없습니다. maru device tag로 태그를 주거나 maru wireguard rotate { $name } --via DEVICE로 다른 기기를 고르세요
        [not_offered] { $name }: 이 기기를 네트워크에 연결하는 { $router } 기기가 지금 WireGuard 기기를 받지 않습니다. 그 기기에서 maru status로 이유를 확인하세요
        [other_key] { $name }: 이 기기를 네트워크에 연결하는 { $router }의 키가 이 기기의 설정과 다릅니다. maru wireguard rotate { $name }로 새 설정을 만드세요
       *[internet_refused] { $name }: 모든 트래픽을 집으로 보내지만 정책이 인터넷 접속을 허용하지 않습니다. 이 기기에 autogroup:internet을 허용하세요
    }
log-heads = 시각 | 행위자 | 작업 | 대상 | 내용
usage-heads = 날짜 | 사용자 | 요청 | 질문 토큰 | 답변 토큰
metrics-needs-root = 카운터는 root만 읽을 수 있으므로 `maru metrics`에는 root 권한이 필요합니다. `sudo maru metrics`로 실행하세요
metrics-not-written = { $path }에 쓸 수 없습니다
policy-same = 열리거나 닫히는 것이 없습니다
policy-change-heads = 변경 | 출발 | 도착 | 내용
policy-test-heads = 결과 | 위치 | 출발 | 프로토콜 | 기대 | 도착 | 이유
policy-decision-heads = 출발 | 도착 | 도달 | 규칙 | 경유
test-passed = 통과
test-failed = 실패
opens = 열림
closes = 닫힘
audit-heads = 연결 | 연결 주소 | 위치 | 읽을 수 있는 주체
audit-location =
    { $location ->
        [this-machine] 이 컴퓨터
        [mesh] 메시
       *[outside] 외부
    }
audit-readers-server = 그곳의 서버
audit-readers-simulated = SIMULATED 증거를 제시하는 { $name }의 노드. 운영자도 읽을 수 있다고 보아야 합니다
audit-readers-tpm = 무엇을 실행하는지 증명한 { $name }의 노드와 그 TPM의 버스를 읽을 수 있는 사람
audit-readers-proved = 무엇을 실행하는지 증명한 { $name }의 노드

## cli/src/doctor.rs
nothing-wrong = 문제가 없습니다.
no-repair = 위험 없이 고칠 수 있는 것이 없습니다.
repair-needs-yes = 물어볼 터미널이 없어 아무것도 고치지 않았습니다. --yes를 주세요
repair-asks = { $repair } 할까요? [y/N]
repair-left = 하지 않음: { $repair }.
repaired = 완료: { $repair }.
repair-failed = 실패: { $repair }: { $error }
repair-directories = 마루의 폴더를 만들고 소유자와 권한 맞추기
repair-enable = 부팅할 때마다 { $target } 시작하기
repair-restart = 응답하지 않는 { $unit } 유닛 다시 시작하기
repair-backup = 지금 백업을 만들고 복원해 보기
repair-take-back = 중간에 끊긴 업데이트 취소하기(그 전에는 다른 것을 고치지 않음)

## cli/src/doctor/router.rs
fix-router = 공유기 설정에서 이 포트를 포워딩한 뒤 agent.toml에 port_mapping = "off"를 적거나, 공유기에서 PCP, NAT-PMP, UPnP 중 하나를 허용하세요
fix-router-tcp = 공유기 설정에서 이 TCP 포트를 이 컴퓨터로 포워딩하고 이 컴퓨터의 방화벽에서도 허용하세요. 그러지 않으면 다른 곳의 기기가 가입하지 못하거나 릴레이를 쓰지 못합니다
fix-router-address = 이 공유기와 인터넷 사이에 다른 공유기가 있는지 확인하고 그곳에서도 포트를 포워딩하세요. 기기들은 이 공유기가 말한 주소를 쓰지 않습니다

## cli/src/netcheck.rs
netcheck-udp = UDP가 됩니다. STUN 서버가 응답했습니다.
netcheck-no-udp = UDP로 응답한 STUN 서버가 없습니다. UDP가 막힌 곳에서는 모두 릴레이를 거칩니다.
netcheck-udp-unknown = 네트워크의 유일한 릴레이가 이 컴퓨터에 있어서, UDP가 되는지 바깥에 물어볼 곳이 없습니다.
netcheck-address = 바깥에서 보이는 이 기기의 주소: { $addresses } ({ $family }).
netcheck-no-address = 바깥에서 보이는 { $family } 주소를 모릅니다.
netcheck-varies = 공유기가 상대마다 다른 포트를 씁니다(까다로운 NAT). 직접 연결이 안 되는 상대와는 릴레이를 거칩니다.
netcheck-steady = 공유기가 모든 상대에게 같은 포트를 쓰므로 직접 연결할 수 있습니다.
netcheck-no-router = 포트 포워딩을 요청할 공유기가 없습니다.
router-forwards = 공유기 { $gateway }: { $transport } { $outside }에서 포트 { $number }({ $service })로, { $until }까지 포워딩합니다({ $via ->
        [pcp] PCP
        [nat_pmp] NAT-PMP
       *[upnp] UPnP
    }).
router-forwards-not = 공유기 { $gateway }: { $transport } 포트 { $number }({ $service })를 포워딩하지 않습니다. { $problem }.
router-problem =
    { $problem ->
        [no_protocol] PCP, NAT-PMP, UPnP에 모두 응답하지 않습니다
        [refused] 요청을 거부했습니다
        [taken] 다른 기기가 이 포트를 쓰고 있습니다
        [other_port] 기기들이 쓰지 않는 { $outside }을(를) 주었습니다
        [not_reached] { $outside }을(를) 포워딩한다고 하지만 다른 구성원이 그곳으로 보낸 것이 도착하지 않았습니다
       *[other_address] 공유기가 말한 바깥 주소는 { $outside }이지만 다른 곳에서 보이는 주소와 다릅니다. 공유기가 하나 더 있을 수 있습니다
    }
netcheck-relay = 릴레이 { $name }: { $delay } ms 뒤에 응답했습니다.
netcheck-relay-silent = 릴레이 { $name }: 응답하지 않았습니다.
netcheck-tcp = 다른 곳의 구성원이 TCP { $address } 주소로 연결했습니다.
netcheck-no-tcp = 다른 곳의 구성원이 TCP { $address } 주소로 연결하지 못했습니다.
netcheck-endpoint = 상대 기기가 시도하는 주소: { $address }({ $kind ->
        [stun] STUN 서버가 본 주소
        [port_mapped] 공유기가 포워딩하는 주소
        [router] 집 공유기의 주소
        [configured] agent.toml에 적힌 주소
       *[local] 이 컴퓨터의 주소
    }){ $reached ->
        [yes] . 다른 곳의 구성원이 이 주소로 연결했습니다
        [no] . 다른 곳의 구성원이 보낸 것이 도착하지 않았습니다
       *[untried] {""}
    }

## cli/src/doctor/machine_key.rs
machine-key-in-file = 대화를 여는 컴퓨터의 키가 디스크를 훔친 사람이 읽을 수 있는 파일에 있습니다. 이 컴퓨터의 TPM이 봉인할 수 있습니다
machine-key-opens = 이 컴퓨터가 자기 키를 스스로 엽니다
machine-key-opens-not = 이 컴퓨터가 대화를 여는 자기 키를 더는 열지 못합니다: { $error }. 키를 봉인할 때 보여 준 암호가 필요합니다

## cli/src/doctor/backups.rs
backups-none = 매일 만드는 백업이 아직 없습니다
backups-old = 마지막 백업을 만든 지 { $days }일이 지났습니다
backups-fresh = 마지막 백업을 { $made }에 만들었습니다
fix-backups = `journalctl -u maru-backup` 명령으로 기록을 읽고 `sudo maru backup --verify` 명령을 실행해 보세요. `sudo maru setup --backups DIR` 명령으로 다른 폴더를 고릅니다

## cli/src/doctor/coordinators.rs

coordinators-share = 코디네이터 { $number }개가 데이터베이스를 함께 씁니다: { $names }
coordinator-alone = 공유 데이터베이스를 쓰는 코디네이터가 하나뿐입니다({ $names }). 멈추면 대신할 것이 없습니다
fix-coordinator-alone = 같은 `[shared]` 설정으로 코디네이터를 하나 더 시작하세요
coordinator-ended = { $name } 코디네이터가 멈췄습니다. 그 기기들은 다른 코디네이터로 옮겨 갑니다
fix-coordinator-ended = 그 컴퓨터에서 `journalctl -u maru-coordinator` 명령으로 확인하세요

## cli/src/doctor/expiry.rs
device-expires =
    { NUMBER($days) ->
        [0] 하루 안에
       *[other] { $days }일 뒤에
    } { $name } 기기의 키가 만료되고, 그 뒤에는 네트워크에서 빠집니다
api-key-expires =
    { NUMBER($days) ->
        [0] 하루 안에
       *[other] { $days }일 뒤에
    } API 키 { $name } 키가 만료됩니다
fix-api-key = 아직 쓴다면 `sudo maru api-key create` 명령으로 새로 만드세요
key-expires =
    { NUMBER($days) ->
        [0] 하루 안에
       *[other] { $days }일 뒤에
    } 사전 인증 키 { $id } 키가 만료됩니다
fix-key = 이 키로 기기가 계속 참여한다면 `sudo maru key create` 명령으로 새로 만드세요
more-expire = 곧 만료되는 것이 { $more }개 더 있습니다
none-expires = { $days }일 안에 만료되는 네트워크의 키가 없습니다
own-key-expires =
    { NUMBER($days) ->
        [0] 하루 안에
       *[other] { $days }일 뒤에
    } 이 기기의 키가 만료되고, 그 뒤에는 네트워크에서 빠집니다
fix-own-key = 홈 컴퓨터에서 이 기기의 이름으로 sudo maru device extend 명령을 실행하세요

## cli/src/model.rs
model-copied = { $to } 이름으로도 { $from } 모델을 쓸 수 있습니다

## cli/src/model/args.rs
ollama-option-before-name = { $error }. 모델 이름은 --ollama 앞에 쓰세요
not-a-sha256 = SHA-256은 16진수 64자리입니다

## cli/src/model/disk.rs
room-unknown = { $path }에 남은 공간을 알 수 없습니다
no-room = { $path }에 공간이 부족합니다. { $needed } 크기의 공간이 필요합니다. 남은 공간은 { $free }이고 그중 { $reserve }는 비워 둡니다. 파일을 지우거나, 이 폴더를 더 큰 디스크로 가는 링크로 바꾸세요

## cli/src/model/download.rs
download-status = { $host }의 응답이 { $status }입니다
download-refused = { $host }의 응답이 { $status }입니다. URL이 맞는지 확인하세요
download-continues = 같은 명령을 다시 실행하면 이어서 받습니다
download-restarts = 서버가 이어받기를 지원하지 않아, 같은 명령을 다시 실행하면 처음부터 받습니다
download-cut = { $host }에서 받던 내용이 중간에 끊겼습니다. { $then }
no-http-client = HTTP 클라이언트를 만들 수 없습니다
host-unreachable = { $host }에 연결할 수 없습니다
too-many-redirects = 리디렉션이 너무 많습니다
redirect-to-plain-http = 암호화되지 않은 주소로 리디렉션했습니다

## cli/src/model/folder.rs
model-name-taken = { $name } 이름이 이미 있습니다. 그것을 삭제하거나 다른 이름을 고르세요
folder-not-made = { $path } 폴더를 만들 수 없습니다. sudo로 실행하세요
model-unfinished = 끝까지 받지 않았습니다. `maru model pull`로 이어서 받거나 `maru model remove`로 지우세요
no-models = 아직 모델이 없습니다. `maru model pull`로 가져오세요
no-such-model = { $name } 모델이 없습니다. 있는 모델: { $names }
model-in-use = { $name } 모델은 사용 중입니다. 먼저 `maru model use`로 다른 모델을 고르세요
file-not-removed = { $path } 파일을 삭제할 수 없습니다. sudo로 실행하세요
model-unusable = { $name } 모델을 쓸 수 없습니다: { $problem }
none-fits = 여기 있는 모델은 모두 너무 큽니다. Q4로 양자화한 { $parameters } 이하의 모델이면 됩니다
these-fit = 맞는 모델: { $names }
model-does-not-fit = { $name } 모델을 이 컴퓨터의 메모리에 올릴 수 없습니다. { $others }
model-does-not-fit-beside = { $name } 모델을 지금 쓰고 있는 { $used } 모델과 함께 메모리에 올릴 수 없습니다. `maru up`을 멈추고 모델을 다시 고른 뒤 시작하세요
model-crowded = 경고: { $name } 모델에는 엔진 메모리 { $needed }가 필요한데 지금 다른 프로그램이 남긴 메모리는 { $free }입니다. 다른 프로그램을 끝내세요. 그러지 않으면 대화가 느리거나 실패할 수 있습니다

## cli/src/model/memory.rs
machine-holds = 이 컴퓨터의 메모리 { $memory }에는 Q4 기준 최대 { $parameters } 매개변수 모델이 들어갑니다
model-too-large = 경고: 모델 크기는 { $size }인데 이 컴퓨터에서 모델에 쓸 수 있는 메모리는 { $has }입니다. Ctrl-C로 멈추고 더 작은 모델을 받으세요
meminfo-not-read = /proc/meminfo를 읽을 수 없습니다
meminfo-unknown = /proc/meminfo에서 메모리 크기를 알 수 없습니다

## cli/src/model/ollama.rs
not-ollama-folder = { $path } 폴더는 Ollama의 모델 폴더가 아닙니다
ollama-no-such-model = Ollama에 { $wanted } 모델이 없습니다. 있는 모델: { $names }
ollama-no-models = { $path } 폴더에 Ollama의 모델이 없습니다
ollama-choose = --model로 하나를 고르세요. 있는 모델: { $names }
ollama-no-model-file = Ollama의 { $name } 모델은 이 컴퓨터에 모델 파일이 없습니다
not-a-manifest = { $path } 파일은 Ollama의 매니페스트가 아닙니다

## cli/src/model/part.rs
file-not-written = { $path } 파일을 쓸 수 없습니다. sudo로 실행하세요
pull-runs = 다른 `maru model pull`이 { $name } 모델을 가져오고 있습니다. 끝날 때까지 기다리세요
folder-not-written = { $path } 폴더에 쓸 수 없습니다
not-a-model = 받은 파일이 GGUF 모델이 아니어서 남기지 않았습니다
wrong-sha256 = 파일의 SHA-256 값({ $found })이 { $wanted } 값과 달라서 남기지 않았습니다
model-unusable-removed = { $name } 모델을 쓸 수 없어서 남기지 않았습니다: { $error }
model-exists = { $name } 모델이 이미 있습니다. 지우거나 --name으로 다른 이름을 고르세요

## cli/src/model/pull.rs
model-gone = 모델이 그사이에 사라졌습니다
not-a-file = { $path } 경로는 파일이 아닙니다
pull-progress = {"{bar:30} {total_bytes} 중 {bytes}, {bytes_per_sec}, {eta} 남음 {msg}"}

## cli/src/model/progress.rs
pull-at = {"  "}{ $total } 중 { $done } ({ $percent } %)

## cli/src/model/answering.rs
engine-answers-again = 모델을 지정하지 않은 요청에는 이제 { $former } 대신 이 컴퓨터의 엔진이 다시 답합니다
ollama-answers-still = 모델을 지정하지 않은 요청에는 여전히 { $former } 모델이 답합니다. { $path } 파일은 Maru가 쓰지 않았으므로 --write를 줄 때만 바꿉니다
other-answers-still = 모델을 지정하지 않은 요청에는 { $path } 파일에 적힌 대로 여전히 { $former } 모델이 답합니다. 이 컴퓨터의 엔진이 답하게 하려면 그 파일의 agents.defaults.model에 적으세요
ollama-no-dial = 게이트웨이가 아직 http://{ $at }의 Ollama에 연결할 길이 없습니다. 먼저 `sudo maru up --ollama http://{ $at }`로 시작하세요

## cli/src/model/served.rs
ollama-pulled = Ollama에 { $name } 모델이 있습니다({ $size })
ollama-used = 게이트웨이가 실행 중이면 몇 초 안에 Ollama의 { $name } 모델이 답합니다
other-machine-holds = 다른 컴퓨터의 메모리는 여기서 알 수 없습니다. Q4 기준으로 8 GB에는 7B, 16 GB에는 13B, 36 GB에는 32B 모델이 들어갑니다
ollama-no-chat = { $name }은(는) 임베딩용 모델처럼 대화에 답하지 않는 모델입니다. 다른 모델을 고르세요(`maru model show 이름 --ollama`가 모델이 할 수 있는 일을 보여 줍니다)
ollama-fallback = { $name } 모델은 첫 모델이 답하지 못할 때 답합니다. 먼저 openclaw.json의 agents.defaults.model.fallbacks에서 빼세요
ollama-agent-restarts = 게이트웨이가 http://{ $at }의 Ollama에 연결할 수 있도록 에이전트를 다시 시작합니다
ollama-pull-interrupted = 중단했습니다. Ollama는 받은 부분을 보관하며, 같은 명령을 다시 실행하면 이어서 받습니다
ollama-pulled-none = http://{ $at }의 Ollama가 { $name } 모델을 받았다고 했지만 자체 모델 목록에 없습니다. 아무것도 이 모델을 쓰지 않습니다

## cli/src/ollama/name.rs
not-an-ollama-name = { $name }은(는) Ollama 모델의 이름이 아닙니다. llama3.2:3b나 hf.co/NAME/MODEL:TAG처럼 쓰세요
ollama-cloud-model = { $name } 모델은 Ollama의 클라우드에서 실행되므로 묻는 내용을 클라우드가 읽게 됩니다. 집에서 실행되는 모델을 고르세요

## cli/src/ollama/choice.rs
ollama-ambiguous = { $name } 이름에 해당하는 모델이 여러 개입니다. 다음 중 하나를 쓰세요: { $names }
ollama-has-none = Ollama에 { $name } 모델이 없고 다른 모델도 없습니다. `maru model pull NAME --ollama`로 받으세요

## cli/src/ollama/client.rs
ollama-away-in-mesh = http://{ $at }에서 Ollama가 응답하지 않습니다. 그곳에서 OLLAMA_HOST를 그 주소로 하여 시작하고, `maru status`로 이 컴퓨터가 연결되어 있는지 확인하고, 정책이 그 포트를 허용하게 하세요
ollama-pull-cut = http://{ $at }의 Ollama가 도중에 끊겼습니다. 같은 명령을 다시 실행하면 이어서 받습니다
ollama-refused = http://{ $at }의 Ollama가 거절했습니다: { $reason }

## cli/src/model/source.rs
not-a-model-name = { $name } 이름은 모델에 쓸 수 없습니다. --name으로 글자, 숫자, 점, 하이픈, 밑줄로 이루어지고 { $ending }로 끝나는 이름을 주세요
not-a-url = { $source }: URL이 아닙니다. https://HOST/PATH/NAME.gguf처럼 쓰세요
model-option-for-ollama = --model은 Ollama의 모델 폴더에만 쓸 수 있습니다
http-needs-sha256 = http://에서는 중간에서 모델을 바꿔치기할 수 있습니다. https://를 쓰거나 --sha256으로 파일의 값을 지정하세요
scheme-unknown = { $other }://는 지원하지 않습니다. https:// 주소나 파일을 쓰세요
url-has-password = URL에서 사용자 이름과 비밀번호를 빼세요
no-model-at = { $path }에 모델이 없습니다
other-sha256 = { $name } 모델의 SHA-256이 --sha256의 값과 다릅니다

## cli/src/backup.rs

## cli/src/backup/root.rs
backup-needs-root = `maru { $command }` 명령은 모든 서비스의 키를 읽고 쓰므로 root 권한이 필요합니다. `sudo maru { $command }`로 실행하세요

## cli/src/backup/kept.rs
backup-no-room = { $path } 폴더에 { $needed } 쓸 자리가 없습니다. 그곳에서 쓸 수 있는 공간은 { $free }입니다. 그 디스크에 자리를 만들거나 `sudo maru setup --backups DIR` 명령으로 더 큰 디스크의 폴더를 고르세요
backups-missing = 매일 백업하는 폴더 { $path } 폴더가 없습니다. 디스크가 연결되어 있나요? `sudo maru setup --backups DIR` 명령으로 다른 폴더를 만들어 지정할 수 있습니다
backups-open = { $path } 폴더는 root만의 폴더가 아니어서 백업을 둘 수 없습니다. 백업에는 이 네트워크의 모든 키가 들어 있습니다. 소유자를 저장하는 파일 시스템에서 `sudo chown root { $path } && sudo chmod 700 { $path }` 명령을 실행하세요
backups-unsafe = { $path } 폴더에는 백업을 둘 수 없습니다. root가 아닌 사용자가 { $at } 폴더를 바꾸어 다른 폴더로 바꿔 놓을 수 있습니다
backups-elsewhere = { $path } 폴더에는 매일 백업할 수 없습니다. 백업 유닛은 { $places } 아래에만 쓸 수 있습니다

## cli/src/backup/unfinished.rs
restore-unfinished = 이 네트워크의 복원이 중간에 끊겼습니다. `sudo maru restore FILE`을 다시 실행하세요

## cli/src/backup/walk.rs
left-out-link = { $place }: 링크입니다
not-opened = { $path } 경로를 열 수 없습니다
left-out-more = { $place }에서 { $more }개 더
not-in-backup = { $name } 항목은 백업에 들어가지 않습니다
not-looked-at = { $name }의 정보를 읽을 수 없습니다
left-out-not-a-file = { $name }: 일반 파일이 아닙니다
left-out-sparse = { $name }: 희소 파일입니다({ $len }바이트 중 디스크에 있는 것은 { $taken }바이트)
left-out-large = { $name }: 너무 큽니다({ $len }바이트, { $place }에 남은 한도는 { $left }바이트)
left-out-deep = { $name }: 너무 깊은 곳에 있습니다
left-out-not-opened = { $name }: 열 수 없습니다({ $error })
not-listed = { $name } 폴더의 목록을 읽을 수 없습니다
left-out-name = { $name }에 있는 파일: 이름이 텍스트가 아닙니다
left-out-rest = { $place }의 나머지: 파일이 너무 많습니다

## cli/src/backup/restore.rs
file-not-deleted = { $path } 경로를 삭제할 수 없습니다
cannot-restore = { $path } 파일을 복원할 수 없습니다
state-not-written = var/lib/maru 아래에 쓸 수 없습니다
not-put = { $place } 폴더를 제자리로 옮길 수 없습니다
mark-not-removed = var/lib/maru/restoring을 삭제할 수 없습니다
restored = { $network } 네트워크를 { $created } 시점의 상태로 복원했습니다.
restored-postgres = 데이터베이스는 PostgreSQL 서버에 있습니다. 그것도 잃었다면 먼저 `pg_restore --dbname=DATABASE_URL maru.dump`로 덤프를 불러오세요
restored-removed = 백업 이후에 제거한 기기, 사용하거나 삭제한 키, 삭제한 API 키가 되살아났습니다. 사람들이 접속하기 전에 `maru device list`, `maru key list`, `maru api-key list`를 확인하세요.
restored-conversations = AI와 나눈 대화는 이전 컴퓨터의 키로 봉인되어 있고, 그 키는 어느 백업에도 없습니다. `maru up`을 시작하기 전에 키를 { $path } 파일로 복사하세요(소유자 root, 모드 0600). 키가 없으면 사람마다 복구 코드가 필요합니다(`maru chat --recover`).
restored-next = 다음: `sudo maru up`. 모델이 전과 같은 위치에 없으면 --model MODEL.gguf를 함께 주세요. 기기는 { $server } 주소를 찾으므로, 이 컴퓨터의 주소가 달라졌으면 그 이름이 이곳을 가리키게 하세요.
root-in-use = { $root } 폴더는 사용 중입니다({ $file } 파일이 있음). 빈 --root에 복원하거나 이전 네트워크를 먼저 다른 곳으로 옮기세요
coordinator-runs = { $root }에서 코디네이터가 실행되고 있습니다. `sudo systemctl stop 'maru-*'` 등으로 먼저 멈추세요
file-not-locked = { $path } 파일을 잠글 수 없습니다
folder-not-read = { $path } 폴더를 읽을 수 없습니다
no-folder-in = { $path }에 폴더를 만들 수 없습니다
backup-unknown = 어떤 백업인지 알 수 없습니다
not-a-backup = 마루의 백업이 아닙니다
backup-newer = 이 백업은 이 프로그램({ $own })보다 새로운 마루 { $maru }에서 만들었습니다. 먼저 마루를 업데이트하세요
not-unpacked = { $name } 파일을 풀 수 없습니다
not-synced = { $path }의 내용을 디스크에 쓸 수 없습니다

## cli/src/confine.rs
program-not-started = 프로그램을 시작할 수 없습니다
no-program = 실행할 프로그램을 지정하세요
not-confined = 프로그램이 쓸 수 있는 위치를 제한할 수 없습니다
group-not-entered = { $path } 제어 그룹에 들어갈 수 없습니다
limit-not-set = 프로그램의 한도를 설정할 수 없습니다

## cli/src/model.rs
model-removed = { $name } 모델을 삭제했습니다
changing-engines = 엔진을 하나씩 바꾸고 있습니다. 대화는 끊기지 않습니다

## cli/src/backup.rs
file-exists = { $path } 파일이 이미 있습니다. 다른 이름을 쓰거나, --force로 바꿔 쓰세요
backup-not-written = { $path } 파일을 쓸 수 없습니다
left-out = 제외됨: { $file }
left-out-outside = 제외됨: { $path }. coordinator.toml에서 쓰는 파일이니 따로 복사해 두세요
backup-postgres = 데이터베이스는 PostgreSQL 서버에 있어 이 파일에 들어 있지 않습니다. `pg_dump --format=custom --file=maru.dump DATABASE_URL`로 함께 복사하세요
backup-deleted = { $name } 파일을 지웠습니다. 더 새로운 백업이 충분히 있습니다
backup-verified = { $path } 백업을 이 컴퓨터의 빈 폴더에 복원해 보았고, 그 안의 모든 데이터베이스를 읽을 수 있습니다
backup-broken = { $path } 백업은 복원할 수 없습니다. 이전 백업은 지우지 않았으니 보관하고, 디스크가 고장 나지 않았는지 확인하세요
backup-database-broken = { $name } 데이터베이스를 읽을 수 없습니다
backup-verified-already = 다른 `maru backup` 명령이 지금 백업을 복원해 보고 있습니다. 끝날 때까지 기다리세요
backup-done = { $path }: 파일 { $count }개. 이 네트워크의 모든 키가 들어 있으니 키처럼 보관하세요
backup-incomplete = 경고: 백업이 완전하지 않습니다. 제외된 항목은 위에 있습니다
no-temporary-file = 임시 파일을 만들 수 없습니다
database-program-not-started = { $program } 프로그램을 시작할 수 없습니다
database-not-copied = 데이터베이스를 복사할 수 없습니다: { $error }
name-too-long = { $name }: 이름이 너무 깁니다
file-shrank = { $name }의 끝부분: 읽는 동안 파일이 작아졌습니다
nothing-to-back-up = { $path } 아래에 백업할 것이 없습니다. 여기서 마루를 실행한 적이 없습니다

## cli/src/up.rs
up-leftovers = 강제로 종료된 `maru up`의 서비스가 아직 실행되고 있습니다. 컴퓨터를 다시 시작하세요
no-core-limit = 코어 덤프를 막을 수 없습니다
restore-leftovers = { $path } 폴더는 중단된 복원에서 남은 것이고 키가 들어 있습니다. `sudo rm -r { $path }`로 지우세요
ready-not-written = run/maru/ready 파일을 쓸 수 없습니다
up-ready = maru: ready
policy-needs-line =
    이 컴퓨터에서 접속할 수 있도록 정책의 "acls" 아래에 다음을 추가하세요.
      { $line }
starting-again = 새 설정으로 다시 시작합니다.
up-needs-root = `maru up`은 네트워크 인터페이스를 만들고 서비스를 각각의 사용자로 시작하므로 root 권한이 필요합니다. `sudo maru up`으로 실행하세요
sudo-asks = `maru up`에는 root 권한이 필요합니다. sudo가 비밀번호를 묻습니다.
sudo-failed = { $needs } (sudo: { $error })
no-signals = 신호를 받을 수 없습니다

## cli/src/up/checks.rs
not-an-address = --address { $address } 값은 이름도 주소도 아닙니다. 192.0.2.7이나 home.example.org처럼 기기가 이 컴퓨터에 접속할 때 쓰는 것을 포트 없이 주세요
not-a-domain = --network { $network } 값은 도메인이 아닙니다. maru.home.arpa처럼 a-z, 0-9, -로 된 단어를 둘 이상 점으로 이어 쓰세요
option-wrong = --user { $user }: { $error }
tools-missing = { $names }: 설치되어 있지 않습니다. `sudo apt-get install { $packages }`로 설치하세요
tun-closed = { $device } 장치를 열 수 없습니다({ $error }). `sudo modprobe tun`으로 드라이버를 불러오고, 컨테이너나 VPS라면 호스트에서 허용하게 하세요
ports-taken = { $ports }. { $advice }
model-unusable-here = { $path } 모델을 쓸 수 없습니다: { $error }
model-unreadable = 엔진의 사용자가 { $path } 파일을 읽을 수 없습니다. `chmod o+r { $path }`로 허용하세요
no-model-yet = 아직 모델이 없습니다. `--model FILE.gguf`로 지정하거나 { $path }에 넣으세요
several-models = { $path }에 모델이 여럿 있습니다. `--model FILE.gguf`로 하나를 고르세요

## cli/src/up/config.rs
file-not-saved = { $path } 파일을 쓸 수 없습니다
address-unused = --address { $address } 옵션은 효과가 없습니다. 이 네트워크의 주소는 { $known }입니다. { $file }에서 바꾸세요
network-unused = --network { $network } 옵션은 효과가 없습니다. 이 네트워크의 도메인은 { $known }이며 바꿀 수 없습니다
no-server-url = { $file }에 `server_url`이 없어서 다른 기기가 이 네트워크에 접속할 수 없습니다. server_url = "http://ADDRESS:PORT"를 추가하세요
service-not-offered = { $file } 파일에 { $name } 서비스가 없어서 어떤 기기도 접속할 수 없습니다. name = "{ $name }", port = { $port }, socket = { $socket }인 [[service]]를 추가하세요
service-shows-pages = { $file } 파일에서 { $name } 서비스에 웹 페이지를 허용하지만 그 서비스에는 웹 페이지가 없습니다. 그 [[service]]에 pages = false를 추가하세요
service-without-https = { $file } 파일에서 { $name }을(를) { $label }.<network> HTTPS 주소로 제공하지 않습니다. Element X 같은 앱에 필요하니 { $name }의 [[service]]에 https = ["{ $label }"]을 추가하세요
service-hides-pages = { $file } 파일에서 { $label }.<network>의 웹 페이지를 막아서 대화방 로그인과 사진이 동작하지 않습니다. { $name }의 [[service]]에 page_names = ["{ $label }"]를 추가하세요
no-own-address = 이 컴퓨터에는 외부로 나가는 경로가 없어서 주소를 알 수 없습니다. 기기가 접속할 주소를 --address HOST로 알려 주세요

## cli/src/up/ollama.rs
not-an-ollama-address = { $usual } 또는 http://100.64.0.5:{ $port }처럼 루프백 주소나 메시의 주소를 주세요
ollama-away = http://{ $at }에서 Ollama가 응답하지 않습니다. 그곳에서 시작하거나 --ollama URL로 주소를 알려 주세요. 아무것도 바꾸지 않았습니다
not-ollama = http://{ $at }의 서버는 Ollama가 아닙니다. --ollama URL로 주소를 알려 주세요
ollama-empty = http://{ $at }의 Ollama에 자체 모델이 없습니다. `ollama pull NAME`으로 받은 뒤 다시 시작하세요
ollama-found = http://{ $at }의 Ollama: { $names }

## cli/src/up/setup.rs
agent-of-another-network = 이 컴퓨터의 에이전트는 다른 네트워크에 속해 있습니다. `maru leave`로 나온 뒤 다시 시작하세요
home-does-not-join = 집의 에이전트가 자기 네트워크에 참여하지 못했습니다: { $problem }
home-cannot-join = 집의 에이전트가 참여할 수 없습니다
no-gateway-identity = 게이트웨이의 공개 키가 { $path }에 없습니다
not-a-regular-file = 일반 파일이 아닙니다
not-a-public-key = 공개 키가 아닙니다

## cli/src/up/start.rs
starting-control-plane = 코디네이터와 릴레이를 시작하고 있습니다
starting-containers = 컨테이너를 시작하고 있습니다
starting-agent = 에이전트를 시작하고 있습니다
loading-model = 모델을 불러오고 있습니다
joining-home = 집 노드를 네트워크에 참여시키고 있습니다

## cli/supervisor
own-path-unknown = maru의 위치를 알 수 없습니다
program-missing = { $name } 프로그램이 { $own } 옆에도 PATH에도 없습니다. 마루의 프로그램을 모두 한 폴더에 설치하세요
program-not-copied = { $from } 파일을 { $to } 경로로 복사할 수 없습니다
directory-not-made = { $path } 폴더를 만들 수 없습니다
not-a-directory = { $path } 위치에는 폴더가 있어야 하는데 다른 것이 있습니다. 다른 곳으로 옮기세요
owner-not-set = { $path }의 소유자와 모드를 설정할 수 없습니다
root-not-reached = { $service } 서비스의 사용자가 최상위 폴더에 접근할 수 없습니다
engines-keep-model = { $refused } 모델을 쓸 수 없어서 엔진은 { $known } 모델을 계속 씁니다
making-images = 컨테이너 이미지를 만들고 있습니다
finding-limits = 이 컴퓨터에서 제한할 수 있는 것을 확인하고 있습니다
not-limited = 컨테이너에 { $limit } 제한이 적용되지 않습니다: { $reason }
not-limited-silently = 컨테이너에 { $limit } 제한이 적용되지 않으며 Podman이 이유를 알리지 않습니다
disk-quota-exceeded = 디스크를 { $limit }MiB 넘게 써서 중지했습니다. { $path }의 공간을 비우세요
podman-not-run = podman을 실행할 수 없습니다. `sudo apt-get install podman`으로 설치하세요
podman-no-storage = podman이 여기에 이미지를 저장할 수 없습니다: { $reason }
image-not-built = podman이 { $name } 이미지를 만들 수 없습니다: { $reason }
containers-not-removed = podman이 컨테이너를 삭제할 수 없습니다: { $reason }
no-container-starts = podman이 여기서 컨테이너를 시작할 수 없습니다: { $reason }. { $advice }
fix-see-doctor = `maru doctor`로 확인하세요
no-control-groups = /sys/fs/cgroup에 제어 그룹이 마운트되어 있지 않습니다
no-reason-given = 알려진 이유가 없습니다
killed-run = 이전 `maru up`(프로세스 { $pid })이 강제로 종료되어 남은 것을 정리합니다.
containers-removed = {"  "}컨테이너 { $count }개를 삭제했습니다
container-storage-anew = {"  "}{ $error }. 컨테이너 저장소를 다시 만듭니다
stopping-leftover = {"  "}{ $service } 서비스(프로세스 { $pid })를 중지합니다
leftovers-not-ended = 이전 실행의 프로세스를 종료할 수 없습니다. 컴퓨터를 다시 시작하세요
table-removed = {"  "}nftables 테이블 { $name } 항목을 삭제했습니다
up-runs-already = 여기서 `maru up`이 이미 실행되고 있습니다(프로세스 { $pid }). 그 터미널에서 Ctrl-C를 누르거나 `sudo kill { $pid }`로 멈추거나, 다른 --root를 쓰세요
memory-by-groups = 코디네이터, 릴레이, 에이전트의 메모리를 각각의 제어 그룹으로 제한합니다
memory-by-rlimit = 버전 2 제어 그룹을 쓸 수 없어서 코디네이터, 릴레이, 에이전트의 메모리를 RLIMIT_DATA로 제한합니다
no-control-group = { $service } 서비스의 제어 그룹을 만들 수 없습니다. `maru doctor`로 확인하세요
port-held-by = { $service } 서비스에 필요한 { $protocol } { $number }번 포트를 { $name }(프로세스 { $pid })에서 쓰고 있습니다
port-held = { $service } 서비스에 필요한 { $protocol } { $number }번 포트를 다른 프로세스에서 쓰고 있습니다
port-setting = { $file }의 { $keys }
fix-port = 그 프로세스를 멈추거나 다른 포트를 고르세요: { $settings }
service-refuses-start = { $name } 서비스가 시작되지 않습니다: { $failure }. 바로잡은 뒤 다시 시작하세요
service-does-not-start =
    { $name } 서비스가 시작되지 않습니다. 마지막 출력:
    { $output }
service-takes-too-long = { $name } 서비스가 { $patience } 안에 준비되지 않았습니다. { $log } 로그를 확인하세요
service-restarts = { $name }: { $why }. { $seconds }초 뒤에 다시 시작합니다
process-not-started = 시작할 수 없습니다({ $error })
process-ended = 종료되었습니다({ $status })

## cli/src/chat.rs
no-question = 질문이 없습니다. maru chat "질문"처럼 쓰세요
resume-without-name = 터미널이 아니면 --resume 에 대화 이름이 필요합니다. `maru chat --list`로 볼 수 있습니다
chat-error = maru: { $error }

## cli/src/chat/actions.rs
chat-list-heads = 이름 | 메시지 | 크기 | 마지막 사용
chat-search-heads = 대화 | 시각 | 누가 | 내용
chat-renamed = { $session } 대화의 이름을 { $to }(으)로 바꾸었습니다
chat-deleted = { $session } 대화를 삭제했습니다
conversation-near = { $name } 대화가 없습니다. 혹시 { $nearest } 인가요?
conversation-unknown = { $name } 대화가 없습니다. `maru chat --list`로 있는 대화를 볼 수 있습니다
no-conversations = 아직 대화가 없습니다. `maru chat`으로 시작하세요
chat-choice = { $number }  { $name } (메시지 { $messages }개, { $used })
chat-choose = 번호나 이름, 1부터 { $last }까지 [1]:

## cli/src/chat/interactive.rs
chat-help =
    /edit 질문: 마지막 질문 대신 이 질문을 합니다. 지금까지와 같이 시작하는 새 대화에서 이어 갑니다
    /export 파일: 이 대화를 새 파일에 씁니다. 이름이 .json으로 끝나면 JSON, 아니면 마크다운입니다
    /stop 또는 Ctrl-C: 답을 멈춥니다
nothing-to-stop = 진행 중인 답이 없습니다
nothing-to-edit = 이 대화에는 고칠 질문이 없습니다
edit-without-text = 명령 뒤에 새 질문을 쓰세요: /edit 질문
reply-ended = 멈추었습니다. 이 질문과 답은 저장되지 않습니다
temporary-new = 새 대화입니다. 이 대화도 저장되지 않습니다
temporary-export = 이 대화는 게이트웨이에 없어 내보낼 수 없습니다. 터미널에서 복사하세요
chat-branched = { $session } 대화는 그대로 두고 { $to } 대화에서 이어 갑니다
chat-exported = { $session } 대화를 { $name } 파일에 썼습니다
export-not-made = { $name } 파일을 쓸 수 없습니다. 다른 파일을 지정하세요: /export 파일

## cli/src/chat/agent.rs
node-unknown = 에이전트가 아직 이 노드의 이름을 모릅니다. 다시 시도하세요
no-gateway-reachable = 이 기기에서 접속할 수 있는 AI 게이트웨이가 네트워크에 없습니다. 집 컴퓨터에서 `maru status`와 `maru policy get`을 확인하세요
gateway-is-here = AI 게이트웨이가 바로 이 컴퓨터에서 실행되고 있습니다. 네트워크의 다른 기기에서 대화하세요
gateway-identity-unreadable = 네트워크가 알려 준 게이트웨이 신원을 이 버전에서 읽을 수 없습니다. 마루를 업데이트하세요
membership-unknown = 에이전트가 아직 네트워크와 코디네이터를 모릅니다. 다시 시도하세요
chat-needs-join = 이 기기는 아직 네트워크에 참여하지 않았습니다{ $problem }. 초대장으로 참여하세요: sudo maru join -
chat-joining = 이 기기는 아직 참여하는 중입니다. 잠시 뒤 다시 시도하세요. 진행 상황은 `maru status`로 볼 수 있습니다
chat-waiting = 이 기기는 아직 승인되지 않았습니다. 집 컴퓨터에서 maru device list, 그다음 maru device approve CODE를 실행하세요{ $page }
chat-expired = 이 기기의 키가 만료되었습니다. 관리자에게 초대장을 요청한 뒤 sudo maru join - 를 실행하세요

## cli/src/rooms.rs
rooms-login-labels = 서버 | 사용자 | 비밀번호 | 유효
rooms-login-valid = { $minutes }분 안에 한 번, 내 기기에서만
rooms-login-next = 메신저에서 다른 서버를 고르고 주소를 입력한 뒤 이 사용자와 비밀번호로 로그인하세요. 브라우저 로그인을 제공하는 앱에는 비밀번호가 필요 없습니다.
rooms-here = 메신저 서버가 바로 이 컴퓨터에서 실행되고 있고, 이 컴퓨터는 누구의 것도 아닙니다. 내 기기에서 실행하세요
rooms-no-person = 이 기기는 누구의 것도 아닙니다. 주인이 있는 기기에서 실행하세요
rooms-unreachable = { $url }의 메신저 서버에 연결할 수 없습니다. 이곳에서 `maru status`로 집 컴퓨터와 연결되어 있는지, 그곳에서 `maru up`이 실행 중이고 정책이 이 기기를 허용하는지 확인하세요
rooms-no-answer = { $url }의 메신저 서버가 지금 응답하지 못합니다(HTTP 상태 { $status }). 집 컴퓨터의 로그 var/log/maru/telmeet.log에서 이유를 확인하세요
rooms-heads = 방 | 이름 | 사람 | 메시지 | 마지막 이벤트 | 암호화
room-member-heads = 사람 | 이름 | 상태 | 권한
room-membership =
    { $is ->
        [join] 참여 중
        [invite] 초대받음
        [knock] 입장 요청
        [ban] 차단됨
       *[other] { $is }
    }
rooms-accepted = 이제 AI는 마스터 키가 { $key }인 { $person } 님에게 다시 답합니다
room-removed = { $name } 방과 메시지 { $messages }개를 삭제했습니다
rooms-not-understood = { $url }의 응답은 이 버전의 메신저 서버가 보낸 것이 아닙니다(HTTP 상태 { $status }). 두 컴퓨터의 마루를 모두 업데이트하세요

## cli/src/chat/connection.rs
gateway-keys = 게이트웨이의 키: { $error }. 이 기기의 마루를 업데이트하세요
gateway-answer-too-long = 게이트웨이의 응답이 너무 깁니다
not-a-gateway = 응답한 것은 이 버전의 게이트웨이가 아닙니다. 두 컴퓨터의 마루를 모두 업데이트하세요

## cli/src/chat/conversation.rs
chat-not-opened = 게이트웨이가 이 요청을 열지 못했고, 새 키로 다시 봉인한 것도 열지 못했습니다. 이미 답한 질문에는 두 번 답하지 않습니다. `maru chat --history`를 확인하고, 답이 없으면 다시 질문하세요
device-key-refused = 방금 등록했는데도 게이트웨이가 이 앱의 기기 키를 받아들이지 않습니다. 잠시 뒤 다시 시도하세요
device-key-bound = 이 앱의 기기 키는 네트워크의 다른 노드에 등록되어 있습니다. 이 기기를 새로 설치했거나 파일을 복사했다면 { $path } 파일을 지우고 다시 질문하세요. 그러면 새 키를 받습니다
gateway-stranger = { $host }에서 응답한 것은 이 네트워크의 게이트웨이가 아니어서 아무것도 보내지 않았습니다. 게이트웨이를 새로 설치했다면 네트워크가 이 기기에 알릴 때까지 1분쯤 기다린 뒤 다시 시도하세요
gateway-rollback = { $error }. 아무것도 보내지 않았습니다. 집 컴퓨터의 시계가 전에 틀렸거나 상태를 잃었다면 { $path } 파일을 지우고 다시 질문하세요
device-proof-refused = 게이트웨이가 이 앱의 기기 키 증명을 거절했습니다. 다시 시도하세요
no-suite-key = 게이트웨이에 지금 유효한 { $suite } 키가 없습니다. 다른 --suite를 써 보세요
question-too-long = 질문이 너무 깁니다. 최대 1MiB까지 봉인할 수 있습니다
reply-cut = { $error }. 다시 질문하세요
reply-broken = { $error }. 위에 나온 내용은 진본이지만 완전하지 않습니다. 다시 질문하세요
reply-not-printed = 답을 출력할 수 없습니다
clock-too-early = 이 기기의 시계가 1970년 이전입니다. 시계를 맞추세요
clock-too-late = 이 기기의 시계가 너무 앞서 있습니다. 시계를 맞추세요

## cli/src/chat/print.rs
reply-length = maru: 토큰 한도에 이르러 답이 여기서 멈췄습니다
reply-yielded = maru: 다른 요청이 모델을 기다리고 있어 답이 여기서 멈췄습니다. 계속하라고 요청하세요
reply-evidence = maru: 이 답은 { $class } 증거로 확인한 노드에서 왔습니다({ $image })

## cli/src/chat/state.rs
chat-folder-not-made = { $path } 폴더를 만들 수 없습니다. 앱의 기기 키를 여기에 둡니다
no-random-bytes = 시스템에서 난수를 얻을 수 없습니다: { $error }
file-vanished = { $path } 파일이 사라졌습니다. 다시 시도하세요
no-home-folder = 앱의 기기 키를 둘 위치를 알 수 없습니다. HOME을 설정하세요

## cli/src/confidential.rs
ca-has-private-key = { $path }에 운영자만 가져야 할 개인 키가 들어 있어서 아무것도 바꾸지 않았습니다. 인증서 파일을 주세요
pinned-for-another = { $file } 파일에 있는 { $name }의 { $keys } 값이 다른 신원의 것이어서 아무것도 바꾸지 않았습니다. 먼저 `maru confidential remove`로 지우세요
ca-not-written = { $path } 파일을 쓸 수 없어서 다른 것도 바꾸지 않았습니다
confidential-added = 마루를 다시 시작하세요(`sudo systemctl restart maru.target` 또는 `maru up`). 그러면 이름({ $models })을 지정한 요청과 agents.defaults.model.fallbacks에 적힌 경우에 confidential/{ $name } 모델이 답합니다
no-deployment = { $name } 배포가 없습니다. 있는 것은 `maru confidential list`로 볼 수 있습니다
confidential-removed = 게이트웨이에도 반영되도록 마루를 다시 시작하세요(`sudo systemctl restart maru.target` 또는 `maru up`)
not-a-deployment-name = { $name } 이름은 쓸 수 없습니다. 영문 소문자, 숫자, 점, 하이픈으로 된 1~{ $max }자여야 합니다
not-an-attestation-key = { $path } 파일은 `maru-compute ak`가 출력한 줄이 아닙니다
several-certificates = { $path }에 인증서가 여럿 있습니다. 루트 하나만 주세요
not-an-anchor = { $path } 파일은 PEM이나 DER 형식의 인증서도, TPM의 키도 아닙니다
not-a-policy-of-it = { $path } 파일은 이 배포의 정책이 아닙니다
file-not-read-unchanged = { $path } 파일을 읽을 수 없어서 아무것도 바꾸지 않았습니다
not-a-plain-file = { $path } 경로가 일반 파일이 아니어서 아무것도 바꾸지 않았습니다. 무엇인지 확인하세요
openclaw-not-of-maru = { $path } 파일은 Maru가 쓴 것이 아니어서 아무것도 바꾸지 않았습니다. --write를 붙여 다시 실행하세요. 이전 파일은 옆에 남습니다
file-not-editable = { $path } 파일을 안전하게 고칠 수 없어서 아무것도 바꾸지 않았습니다. 파일을 바로잡거나 직접 고치세요(docs/configuration.md)

## cli/src/confidential/deployment.rs
not-an-ip-port = IP:PORT로, 인증서가 이름에 대한 것이면 NAME@IP:PORT로 쓰세요. 이름은 조회하지 않습니다
not-a-dns-name = @ 앞부분이 DNS 이름이 아닙니다

## cli/src/confidential/verify.rs
not-a-time = 2026-11-23T08:00:00Z처럼 쓰세요
not-a-nonce = 16진수 64자리여야 합니다
time-before-1970 = 1970년 이전의 시각입니다
evidence-too-large = { $path } 파일이 2MiB보다 커서 증거도 정책도 아닙니다
not-a-pin = { $path } 파일은 고정 정보가 아닙니다
not-evidence = { $path } 파일은 노드의 증거도 Nitro 문서도, 그 base64도 아닙니다
verify-passed = 모든 검사를 통과했습니다
verify-refused = 거절: 검사 { $count }개 중 { $failed }개가 실패했습니다
verify-unproved = 실패한 검사는 없지만 모든 것을 검사하지는 않았으므로 아직 아무것도 증명되지 않았습니다: { $open }

## cli/src/up/ollama.rs
ollama-left-out = {"  "}제외한 모델 { $left_out }개: 클라우드에서 실행되거나 이름을 쓸 수 없습니다
file-up-to-date = {"  "}{ $path } 파일은 이미 최신 상태입니다
file-leads-there = {"  "}{ $path } 파일에 게이트웨이가 쓸 주소를 적었습니다
file-changed-by-hand =
    {"  "}{ $path } 파일은 직접 수정되어 있어 그대로 둡니다. 다음 내용을 추가하세요.
    { $by_hand }
file-not-of-maru =
    {"  "}{ $path } 파일은 Maru가 쓴 것이 아니어서 그대로 둡니다. 다음 내용을 추가하거나, --write를 붙여 다시 실행하세요. 이전 파일은 옆에 남습니다.
    { $by_hand }
ollama-primary = {"  "}이름을 지정한 요청에만 답합니다. 기본으로 쓰려면 agents.defaults.model.primary를 { $first }로 설정하세요

## cli/src/confidential.rs
confidential-ca = {"  "}{ $path }: 그 서버들의 인증서를 발급한 기관의 인증서입니다
gateway-reaches-outside = {"  "}이제 게이트웨이가 네트워크 밖의 { $address }에 접속할 수 있습니다
simulated-accepted = {"  "}SIMULATED 증거를 받아들입니다. 이 증거는 만든 사람 외에는 누구에게도 증명이 되지 않습니다
policy-pinned = {"  "}고정함: 에포크 { $epoch } 이후의 정책과 다음 이미지: { $images }
keys-kept = {"  "}{ $file }의 다른 항목은 그대로 둡니다: { $kept }
file-changed = {"  "}{ $path } 파일을 바꾸었습니다

## cli/src/doctor/certificates.rs
fix-acme = var/log/maru/coordinator.log를 확인하세요. 인증 기관이 발급하지 않은 이유와 다시 요청하는지가 적혀 있습니다
fix-certificate = 인증서를 갱신하고 이 파일을 새것으로 바꾸세요. 코디네이터가 스스로 다시 읽습니다
fix-relay-certificate = `maru up`을 멈추고 이 파일과 옆의 키를 지운 뒤 다시 시작하세요. 기기가 새 인증서를 받습니다
only-root-looks = { $path } 파일은 root만 볼 수 있습니다
file-missing = { $path } 파일이 없습니다
certificate-broken = { $path }의 인증서가 손상되었습니다
certificate-early =
    { $path }의 인증서는 { NUMBER($days) ->
        [0] 하루 안에
       *[other] { $days }일 뒤에
    } 유효해집니다
fix-clock = 기다리거나 이 컴퓨터의 시계를 맞추세요
certificate-expired =
    { $path }의 인증서가 { NUMBER($days) ->
        [0] 하루 안에
       *[other] { $days }일 전에
    } 만료되었습니다
certificate-ends =
    { $path }의 인증서가 { NUMBER($days) ->
        [0] 하루 안에
       *[other] { $days }일 뒤에
    } 만료됩니다
certificate-holds = { $path }의 인증서가 { $days }일 동안 유효합니다

## cli/src/doctor/host.rs
tools-there = podman, nft, setpriv가 있습니다
missing = 없음: { $names }
tun-opens = /dev/net/tun을 열 수 있습니다
tun-opens-for-agent = 에이전트의 사용자도 /dev/net/tun을 열 수 있습니다
tun-opens-for-root = root가 /dev/net/tun을 열어 에이전트에 넘깁니다. 사용자 { $uid }로 시작한 에이전트는 열 수 없습니다
tun-root-only = /dev/net/tun은 root만 열 수 있습니다
tun-fails = /dev/net/tun을 열 수 없습니다: { $error }
fix-tun = sudo modprobe tun을 실행하세요. 컨테이너나 VPS라면 호스트에서 허용해야 합니다
landlock-full = 서비스는 자기 폴더에만 쓸 수 있습니다
landlock-partial = Linux 6.2보다 오래된 Landlock이어서 쓰기는 제한하지만 파일 자르기는 제한하지 않습니다
landlock-none = Landlock이 없어서 사용자와 모드만 쓰기를 제한합니다
fix-kernel = Linux 6.2 이상의 커널을 설치하세요
fix-landlock = CONFIG_LSM에 landlock이 있거나 명령줄에 lsm=landlock,…을 준 Linux 5.13 이상의 커널로 부팅하세요
swap-off = 꺼짐
swap-encrypted = { $names }: 메모리에 있거나 매핑된 장치에 있습니다
swap-on = { $names }: 사람들이 쓴 내용이 디스크에 남을 수 있습니다
fix-swap = sudo swapoff -a를 실행하고 /etc/fstab에서 지우거나, 스왑을 암호화하세요
core-pattern = 모든 서비스의 한도는 0이고, 호스트의 패턴은 { $pattern }입니다
clock-synchronised = 동기화되어 있습니다
clock-unsynchronised = 동기화되어 있지 않습니다. 시계가 1분 어긋나면 봉인한 요청이 실패합니다
clock-unknown = systemd가 시계를 동기화하지 않습니다. 직접 확인하세요
podman-old = { $version }: 4보다 오래된 버전입니다
fix-podman = 더 새로운 Podman을 설치하세요. Debian 12의 것이면 됩니다
podman-fails = 실행할 수 없습니다
limits-root-only = root만 시험할 수 있습니다
fix-cgroup = /sys/fs/cgroup이 마운트되어 있고 root로 `podman info`가 동작하는지 확인하세요
limits-work = 메모리, 스왑, 프로세스가 제한됩니다
fix-swap-limit = 스왑을 끄거나 swapaccount=1로 부팅하세요
fix-memory-limit = cgroup_enable=memory로 부팅하세요
fix-controller = 호스트에서 이 제어 그룹 컨트롤러를 켜세요
folder-in-the-way = { $path } 폴더를 만들 수 없습니다. 있으면 지우세요

## cli/src/doctor/providers.rs
fix-gateway = 게이트웨이에 관한 항목을 보세요
cannot-be-asked = 조회할 수 없습니다: { $error }
evidence-simulated = { $name }의 SIMULATED 증거를 받아들입니다. 이 증거로는 아무것도 증명되지 않으니 운영자가 모든 것을 읽는다고 보아야 합니다
fix-simulated = 노드가 다른 증거를 내면 gateway.toml의 [confidential.{ $name }]에서 simulated를 빼세요
provider-unexplained = 이유를 알 수 없습니다
provider-ready = { $name }: 준비되었습니다
provider-draining = { $name }: 가득 찼거나 종료 중이어서 새 요청을 받지 않습니다
provider-loading = { $name }: 아직 모델을 불러오고 있습니다
fix-wait = 잠시 기다리세요
provider-refuses = { $name }: 게이트웨이를 거절합니다({ $trouble })
fix-provider-key = openclaw.json의 apiKey가 서버에 맞는지 확인하세요
provider-silent = { $name }: 응답하지 않습니다({ $trouble })
fix-provider = 시작하거나 baseUrl을 고치세요
provider-unusable = { $name }: 사용하지 않습니다({ $trouble })
fix-provider-file = 게이트웨이가 읽을 수 있게 그 위치에 파일을 두세요. 자동으로 적용됩니다

## cli/src/doctor/config.rs
openclaw-used = openclaw.json을 사용하고 있습니다
openclaw-former = 지금의 openclaw.json은 쓸 수 없어 이전 설정을 계속 사용합니다. 이대로는 게이트웨이가 다시 시작되지 않습니다: { $error }
openclaw-waits = openclaw.json의 일부는 다시 시작해야 적용됩니다
fix-openclaw = 파일을 고치세요. 다시 시작하지 않아도 적용됩니다
conversations-kept = 대화를 보관하고 있습니다
conversations-not-kept = AI는 답하지만 대화를 보관하지 않습니다: { $error }
fix-conversations = 그 문제를 고치세요. 30초 안에 데이터베이스를 다시 엽니다

## cli/src/gateway/backends.rs
backends-near = AI에게 묻는 내용은 이 컴퓨터, 메시, 또는 무엇을 실행하는지 증명하는 노드로만 갑니다
backends-unknown = openclaw.json을 읽을 수 없어 어느 서버에 묻는지 알 수 없습니다
backend-dial = 연결(dial) { $name } 항목이 이 컴퓨터와 메시 밖의 { $to } 주소로 평문 HTTP로 나갑니다. 중간에 있는 누구나, 그리고 그곳의 운영자가 질문을 읽고 답을 바꿀 수 있습니다
fix-backend-dial = 그 서버를 네트워크의 노드로 만들거나, 스스로를 증명하는 배포를 쓰세요(`maru confidential add`). 아니면 agent.toml의 연결과 openclaw.json의 제공자를 지우세요
backend-far = 제공자 { $name } 항목이 이 컴퓨터와 메시 밖의 { $url } 서버에 묻습니다. 그 운영자가 질문을 읽을 수 있습니다
backend-plain = 제공자 { $name } 항목이 이 컴퓨터와 메시 밖의 { $url } 주소를 TLS 없이 씁니다. 중간에 있는 누구나 질문을 읽을 수 있습니다
fix-backend = 그 서버를 네트워크의 노드로 만들거나, 스스로를 증명하는 배포를 쓰세요(`maru confidential add`). 아니면 openclaw.json의 제공자를 지우세요

## cli/src/gateway/origins.rs
origins-safe = AI를 쓸 수 있는 다른 출처의 페이지 수(외부에서 평문 HTTP로 오는 것은 없음): { $count }
origins-plain = 외부에서 평문 HTTP로 오는 페이지가 AI를 쓸 수 있습니다: { $origins }. 중간에 있는 사람이 그 페이지를 바꿔치기하면, 그것을 연 사람의 이름으로 묻습니다
fix-origins = 페이지를 HTTPS로 제공하거나, gateway.toml의 origins에서 지우세요

## cli/src/gateway/app_keys.rs
app-keys = 키가 있는 이 컴퓨터의 앱 수(키는 `maru app remove`를 할 때까지 유효함): { $count }
app-key-unused = 앱 { $name }의 키가 { $day } 이후로 쓰이지 않았습니다
app-key-never-used = 앱 { $name }의 키는 { $created }에 만들었고 쓰인 적이 없습니다
fix-app-key = sudo maru app remove { $name }
fix-app-keys-unknown = 마루가 실행되는 동안 root로 실행하세요

## cli/src/gateway/workspace.rs
workspace-none = 아직 작업 공간(workspace)이 없습니다
workspace-fine = 파일 수: { $files }, 바이트: { $bytes }. root와 게이트웨이만 쓸 수 있습니다
workspace-unknown = { $path } 폴더를 살펴볼 수 없습니다: { $error }
fix-workspace-unknown = root로 살펴보세요. 링크가 아닌 폴더여야 합니다
workspace-open = root와 게이트웨이가 아닌 사용자도 쓸 수 있어, 모든 사람의 프롬프트에 무엇이 들어갈지 정할 수 있습니다: { $names }
fix-workspace-open = sudo chmod -R go-w { $path } 명령을 실행하고, 그 안의 파일을 root나 게이트웨이의 것으로 하세요
workspace-links = 링크는 게이트웨이가 따라가지 않습니다: { $names }
fix-workspace-links = 그 자리에 파일을 직접 두세요
workspace-large = 1GiB 이상의 파일은 프롬프트에 앞부분만 들어갑니다: { $names }
workspace-long = SOUL.md, IDENTITY.md, AGENTS.md의 크기가 모두 { $bytes }바이트입니다. 프롬프트에는 많아야 { $max }바이트가 들어가고 나머지는 빠집니다
fix-workspace-long = 내용을 줄이세요
workspace-cut = { $path } 폴더에 파일과 폴더가 { $max }개보다 많아 나머지는 살펴보지 않았습니다
fix-workspace-cut = 그곳에 있을 필요가 없는 것을 지우세요

## cli/src/doctor/services.rs
units-enabled = 부팅할 때마다 { $target } 시작합니다
units-not-enabled = systemd가 마루를 실행하고 있지만 다음 부팅 때는 { $target } 시작하지 않습니다
fix-units = sudo systemctl enable { $target }
programs-found = 마루의 프로그램이 모두 있습니다
fix-programs = `maru up`에만 필요합니다. 마루의 프로그램을 모두 한 폴더에 설치하세요
fix-file = 그 파일을 고치세요
ports-free = 비어 있음: { $ports }
fix-ports = `maru up`을 시작하기 전에 그 프로세스를 멈추거나 다른 포트를 고르세요: { $file }의 { $keys }
fix-look-at-ports = `ss -tulpn`으로 확인하세요
folder-owner = { $path }: 소유자와 모드가 { $uid }:{ $gid } { $mode }인데 { $owner }:{ $group } { $right }이어야 합니다
socket-answers = { $path }: 응답합니다
socket-closed = { $path }: 이 사용자에게는 닫혀 있습니다. 정상입니다
socket-silent = { $path }: 응답하지 않습니다({ $error })
services-root-only = root만 조회할 수 있습니다
rooms-answer = telmeet에 방이 있습니다: { $rooms }개
service-ready = { $name }: 준비되었습니다
service-silent = { $name }: 응답하지 않습니다
fix-wait-for-service = 기다리세요. `maru up`은 { $patience } 동안 기다립니다
service-not-ready = { $name }: 아직 준비되지 않았습니다
fix-read-journal = `journalctl -u { $unit }` 명령으로 기록을 읽으세요. `sudo systemctl restart { $unit }` 명령으로 다시 시작합니다
fix-read-log = { $path } 로그를 확인한 다음 `maru up`을 멈췄다가 다시 시작하세요
apps-untrusted-proxy = 기기가 신뢰하지 않는 프록시를 거쳐 { $server }에 접속하므로 모두 같은 기기로 취급됩니다
fix-proxy = etc/maru/coordinator.toml의 [proxy]에 있는 `trusted`에 프록시의 주소를 적으세요
fix-public-certificate = 바깥에서 그 이름의 TCP 포트 443이 코디네이터로 이어져야 합니다. 그동안 앱에는 지금까지의 인증서나 네트워크 자체 인증 기관의 인증서가 쓰입니다
apps-ok = { $server }: 일반 앱이 HTTPS로 접속하는 주소입니다
fix-see-status = `maru status`를 보세요
agent-node = 이 기기는 네트워크의 노드입니다
fix-agent = 에이전트를 시작하세요
forwarding-off = 이 컴퓨터가 { $routes } 경로를 제공하지만 패킷을 전달하지 않으므로, 아무도 그 경로를 쓸 수 없습니다
names-found = 이 컴퓨터의 프로그램이 { $name } 이름을 찾습니다
names-not-found = 이 컴퓨터의 프로그램이 { $name } 이름도, 네트워크의 다른 이름도 찾지 못합니다
names-elsewhere = 이 컴퓨터의 프로그램이 { $name } 이름을 다른 곳인 { $addresses } 주소로 찾습니다
names-through-exit = 출구 노드 { $name } 기기를 통해 인터넷 이름을 찾습니다
names-no-exit-resolver = 출구 노드 { $name } 기기를 통해 인터넷 이름을 찾을 수 없습니다. 이 컴퓨터의 리졸버는 사설 주소에 있어 출구 노드를 통해 닿지 않습니다
fix-exit-resolver = agent.toml에 exit_node_dns = ["9.9.9.9"]처럼 리졸버를 적은 다음 `sudo systemctl restart maru-agent`를 실행하세요. 사설 주소에 있는 리졸버는 출구 노드가 그 네트워크를 서브넷으로 제공하고(advertise_routes) 승인되어야(`maru route approve`) 닿습니다
names-not-through-exit = 출구 노드 { $name } 기기를 통해 응답하는 리졸버가 없습니다
fix-exit-resolver-silent = { $name } 기기가 온라인이고 인터넷에 닿는지(`maru ping { $name }`), agent.toml의 exit_node_dns에 적힌 리졸버가 맞는지 확인하세요. 사설 주소에 있는 리졸버는 출구 노드가 그 네트워크를 서브넷으로 제공하고(advertise_routes) 승인되어야(`maru route approve`) 닿습니다
fix-names = 프로그램이 이름을 어떻게 찾는지 `maru status`에서 보고 agent.toml의 dns 설정을 확인한 뒤 에이전트를 다시 시작하세요
leftovers =
    { $what ->
        [resolver] 강제로 종료된 에이전트가 이 컴퓨터의 이름 조회 설정을 바꾼 채로 남겨, 이름을 찾지 못할 수 있습니다
        [kill-switch] 에이전트가 실행되지 않는데 킬 스위치가 켜져 있어, 이 컴퓨터에서 아무것도 나가지 못합니다
       *[firewall] 강제로 종료된 에이전트가 nftables 테이블을 남겼습니다
    }
fix-kill-switch = 에이전트를 시작하세요: `sudo systemctl start maru-agent`. 에이전트 없이 풀려면 `sudo systemctl stop maru-agent`를 실행한 다음 `{ $command }`를 실행하세요
version-answers = 응답합니다(버전 { $found })
version-differs = 버전 { $found }인데 maru는 { $version }입니다
fix-version = 모든 프로그램을 같은 버전으로 설치하고 다시 시작하세요

## cli/src/finding.rs
finding-heads = 검사 | 결과 | 내용 | 해결 방법
severity =
    { $severity ->
        [error] 오류
        [warning] 경고
       *[ok] 정상
    }

## cli/src/doctor/services.rs
agent-state =
    { $state ->
        [needs_join] 상태: 참여 필요
        [joining] 상태: 참여하는 중
        [waiting_for_approval] 상태: 승인 대기
        [running] 상태: 실행 중
        [paused] 상태: 일시 중지
       *[expired] 상태: 만료됨
    }
firewall-root-only = 방화벽 규칙은 root만 읽을 수 있습니다
firewall-open = 터널의 포트나 서비스를 막는 규칙을 찾지 못했습니다
firewall-closes-forwarding = 이 컴퓨터의 방화벽({ $by })이 전달하는 패킷을 버립니다. 정책이 허용해도 WireGuard 기기와 다른 기기가 서로 연결할 수 없습니다
firewall-closes-port = 이 컴퓨터의 방화벽({ $by })이 UDP { $port } 포트를 막고 있습니다. 이 컴퓨터가 동시에 연결할 때만 상대 기기와 직접 연결되고, 아니면 릴레이를 거칩니다
firewall-closes-service = 이 컴퓨터의 방화벽({ $by })이 터널 인터페이스 { $interface }의 { $port } 포트를 막고 있습니다. 정책이 허용해도 네트워크의 기기가 그 서비스에 연결할 수 없습니다
firewall-closes-wireguard = 이 컴퓨터의 방화벽({ $by })이 UDP { $port } 포트를 막고 있어 WireGuard만 있는 기기가 연결할 수 없습니다
fix-firewall-for-now = { $command } (규칙을 다시 불러올 때까지만 유지되므로 방화벽 설정에도 적으세요)
relay-answers = 릴레이 { $name }: 응답합니다
relay-silent = 릴레이 { $name }: 응답하지 않습니다. 직접 경로가 없는 기기에는 연결할 수 없습니다
fix-relay = 이 컴퓨터의 네트워크 연결을 확인하고, 집 컴퓨터에서 Maru가 실행 중인지 확인하세요(maru doctor)
relayed-no-udp-here = { $name } 기기로 가는 패킷이 릴레이를 거칩니다. 어떤 STUN 서버도 이 컴퓨터에 응답하지 않으므로 이 네트워크가 UDP를 막고 있습니다
fix-udp-here = 이 네트워크에서 나가는 UDP를 허용하거나 다른 네트워크를 쓰세요
relayed-no-udp-there = { $name } 기기로 가는 패킷이 릴레이를 거칩니다. 그 기기가 알린 주소가 없으므로 그쪽 네트워크가 UDP를 막고 있습니다
fix-udp-there = { $name } 기기의 네트워크에서 나가는 UDP를 허용하세요
relayed-no-family = { $name } 기기로 가는 패킷이 릴레이를 거칩니다. 한쪽은 IPv4만, 다른 쪽은 IPv6만 있습니다
fix-family = 둘 중 하나에 두 주소 체계를 모두 주세요
relayed-symmetric = { $name } 기기로 가는 패킷이 릴레이를 거칩니다. 이 컴퓨터의 NAT가 목적지마다 다른 포트를 씁니다(대칭형, symmetric)
relayed-no-answer = { $name } 기기로 가는 패킷이 릴레이를 거칩니다. 그 기기의 주소에서 응답이 없습니다. 둘 사이의 NAT나 방화벽이 패킷을 버립니다
fix-forward = 이 컴퓨터의 공유기에서 UDP { $port } 포트를 이 컴퓨터로 전달하거나, 공유기가 자동으로 하게 하세요(UPnP, NAT-PMP, PCP). 상대 기기의 공유기에서 그 기기의 포트를 전달해도 됩니다
fix-listen-port = agent.toml의 listen_port를 41641 같은 포트로 정하고 이 컴퓨터의 공유기에서 그 포트를 전달하세요. 상대 기기의 공유기에서 그 기기의 포트를 전달해도 됩니다
clock-before-coordinator = 이 컴퓨터의 시계가 코디네이터보다 { $by } 빠릅니다. 봉인한 요청이 실패하고, 코디네이터가 없을 때 에이전트가 시작하면 키가 잘못된 때에 만료됩니다
clock-behind-coordinator = 이 컴퓨터의 시계가 코디네이터보다 { $by } 느립니다. 봉인한 요청이 실패하고, 코디네이터가 없을 때 에이전트가 시작하면 키가 잘못된 때에 만료됩니다
fix-restart = `sudo systemctl restart maru.target`을 실행하거나 `maru up`을 멈췄다가 다시 시작하세요

## cli/src/model.rs
model-heads = 이름 | 크기 | 종류 | 컨텍스트 | 사용 중
model-labels = 이름 | 크기 | 종류 | 컨텍스트 | 필요한 메모리 | 이 컴퓨터에 들어감 | 사용 중 | 파일 | 문제
ollama-heads = 이름 | 크기 | 종류 | 사용 중
ollama-labels = 이름 | 크기 | 종류 | 컨텍스트 | 기능 | 이 컴퓨터에 들어감 | 사용 중
model-pulled = { $name } 모델을 가져왔습니다({ $size }, SHA-256 { $sha256 })
model-used-now = 이제 { $name } 모델이 답합니다
model-used-later = 다음에 시작할 때부터 { $name } 모델이 답합니다
model-of-engines-now = 이제 엔진이 { $name } 모델을 씁니다
model-of-engines-later = 다음에 시작할 때부터 엔진이 { $name } 모델을 씁니다

## cli/src/chat
chat-you = 나
clock-ahead = 이 기기의 시계가 집 컴퓨터보다 { $by } 빨라서 아무것도 보내지 않았습니다. 틀린 쪽의 시계를 맞춘 뒤(sudo timedatectl set-ntp true) 다시 질문하세요
clock-behind = 이 기기의 시계가 집 컴퓨터보다 { $by } 느려서 아무것도 보내지 않았습니다. 틀린 쪽의 시계를 맞춘 뒤(sudo timedatectl set-ntp true) 다시 질문하세요
gateway-timeout = { $url }의 게이트웨이가 응답하지 않습니다. 이곳에서 `maru status`로 집 컴퓨터와 연결되어 있는지, 그곳에서 `maru up`이 실행 중이고 정책이 이 기기를 허용하는지 확인하세요
gateway-unreachable = { $url }의 게이트웨이에 연결할 수 없습니다. 이곳에서 `maru status`로 집 컴퓨터와 연결되어 있는지, 그곳에서 `maru up`이 실행 중이고 정책이 이 기기를 허용하는지 확인하세요

## cli/src/confidential
confidential-heads = 이름 | 증거 | 연결 주소 | 신원
evidence-simulated-too = SIMULATED 포함
evidence-real = 실제
verify-heads = 검사 | 결과 | 코드 | 뜻

## chassis/src/root.rs
root-of-another = --root { $root } 폴더는 안전하지 않습니다. { $at } 폴더를 소유한 uid { $uid } 사용자가 그 자리에 다른 파일을 넣을 수 있습니다. 다른 폴더를 고르거나 `sudo chown -h root { $at }`로 소유자를 root로 바꾸세요
root-writable = --root { $root } 폴더는 안전하지 않습니다. 누구나 { $at }에 쓸 수 있어 그 자리에 다른 파일을 넣을 수 있습니다. 다른 폴더를 고르거나 `sudo chmod { $mode } { $at }`로 막으세요
root-writable-by-group = --root { $root } 폴더는 안전하지 않습니다. 그룹 { $group }에서 { $at }에 쓸 수 있어 그 자리에 다른 파일을 넣을 수 있습니다. 다른 폴더를 고르거나 `sudo chmod { $mode } { $at }`로 막으세요
root-not-a-folder = --root { $root } 폴더를 쓸 수 없습니다. { $at } 경로가 폴더가 아닙니다. 다른 폴더를 고르세요
root-closed = --root { $root } 폴더를 쓸 수 없습니다. 이 프로그램을 실행하는 uid { $uid } 사용자가 { $at } 폴더에 들어갈 수 없습니다. 다른 폴더를 고르거나 `sudo chmod o+x { $at }`로 모든 사용자에게 허용하세요
root-unreadable = --root { $root } 폴더를 쓸 수 없습니다. { $at } 경로를 읽을 수 없습니다. 다른 폴더를 고르세요

## chassis/src/settings.rs
settings-missing = { $path } 파일이 없습니다. --config를 고치거나 그 파일을 만드세요
settings-unreadable = { $path } 파일을 읽을 수 없습니다. 읽기 권한을 확인하세요
settings-wrong-at = { $path } 파일을 쓸 수 없습니다({ $line }행 { $column }열): { $reason }
settings-wrong = { $path } 파일을 쓸 수 없습니다: { $reason }

## chassis/src/state.rs
state-unreadable = { $path } 파일을 읽을 수 없습니다. 파일과 폴더의 소유자를 확인하세요
state-unwritable = { $path } 파일을 쓸 수 없습니다. 남은 공간과 폴더의 소유자를 확인하세요
state-damaged = { $path } 파일이 손상되었습니다({ $line }행 { $column }열). { $remedy }
state-older = { $path } 파일은 버전 { $found }인데 이 프로그램은 버전 { $known }만 지원합니다. { $remedy }
state-newer = { $path } 파일은 버전 { $found }인데 이 프로그램은 버전 { $known }까지만 지원합니다. 마루를 업데이트하세요
remedy-restore = 백업에서 복원하거나, 다른 곳으로 옮겨 새로 시작하세요
remedy-pull-again = 지우고 다시 가져오세요
remedy-give-model = 지우고 --model을 주세요
remedy-new-one = 다른 곳으로 옮기면 새로 만듭니다

## chassis/src/unix.rs
socket-busy = 다른 프로세스가 이미 { $path } 소켓을 쓰고 있습니다. 그 프로세스를 멈추거나 다른 --root를 쓰세요
socket-in-the-way = { $path } 파일은 소켓이 아닙니다. 다른 곳으로 옮기세요
socket-left-behind = { $path } 소켓은 다른 사용자(uid { $uid })가 남긴 것입니다. 지우세요
socket-folder-unsafe = { $path } 폴더는 이 프로그램의 사용자나 root의 것이어야 하고 다른 사용자는 쓸 수 없어야 합니다. 소유자와 모드를 고치세요
socket-no-room = { $path } 소켓을 만들 수 없습니다. 디스크에 빈 공간이 없으니 공간을 확보하세요
socket-not-made = { $path } 소켓을 만들 수 없습니다. 폴더의 소유자를 확인하세요
socket-unreachable = { $path } 소켓에 연결할 수 없습니다
socket-is-a-link = { $path } 경로가 링크이거나 소켓이 아니거나, 중간에 있는 폴더가 링크입니다. 그것을 지우고 서비스를 다시 시작하거나, 설정에 링크가 없는 경로를 쓰세요
socket-of-another = { $path } 소켓을 연 사용자가 uid { $expected } 사용자가 아니라 uid { $found } 사용자입니다. 그 프로세스를 멈추세요. 그 사용자가 맞으면 설정의 uid나 폴더의 소유자를 고치세요

## cli/src/archive.rs
archive-cut = 중간에 끊긴 백업입니다
archive-torn = 중간에 끊기거나 손상된 백업입니다
archive-damaged = 백업의 { $name } 부분이 손상되었습니다
archive-holds-twice = 백업에 { $name } 파일이 두 번 있거나 파일이 너무 많습니다
archive-holds-more = 백업의 { $name } 뒤에 다른 내용이 있습니다
archive-holds-no-file = 백업에 있는 { $name } 항목은 파일이 아닙니다
archive-holds-outside = 백업에 있는 { $name } 이름은 폴더 아래의 파일 이름이 아닙니다
archive-holds-foreign = 백업에 들어갈 수 없는 { $name } 파일이 있습니다
archive-holds-too-long = 백업에 있는 { $name } 파일이 너무 깁니다
archive-file-changed = 읽는 동안 { $name } 파일이 바뀌었습니다. 다시 시도하세요
archive-name-unusable = { $name } 이름은 백업에 넣을 수 없습니다

## cli/src/trust.rs
trust-needs-root = `maru trust`는 이 컴퓨터가 신뢰하는 인증 기관을 바꾸므로 root 권한이 필요합니다. `sudo maru trust`로 실행하세요
trust-network = { $network }의 인증 기관입니다. { $network } 아래 이름만 보증할 수 있습니다. SHA-256: { $fingerprint }
trust-refused = 홈 컴퓨터가 보낸 인증서가 { $network } 아래 이름 말고도 보증할 수 있거나 인증서가 아니어서 설치하지 않았습니다. 관리자에게 알리세요
trust-added = 신뢰하도록 추가: { $store }
trust-removed = 신뢰 목록에서 제거: { $store }
trust-nothing = 설치된 네트워크 인증 기관이 없습니다.
trust-no-system = 이 시스템에 update-ca-certificates, update-ca-trust, trust가 모두 없습니다. ca-certificates 패키지를 설치하세요
trust-command-failed = `{ $command }` 명령이 실패했습니다
trust-no-person = Chromium의 저장소는 사용자마다 따로 있어서 바꾸지 않았습니다. 그 사용자로 `sudo`를 써서 실행하세요.
trust-no-certutil = Chromium은 바꾸지 않았습니다. certutil(libnss3-tools 또는 nss-tools 패키지)을 설치한 다음 다시 실행하세요.
trust-store-left = { $path }은(는) 바꿀 수 없어 그대로 두었습니다.
trust-next = 열려 있는 브라우저를 다시 시작하세요. 휴대전화와 다른 시스템에서는 { $page } 주소를 여세요

## cli/src/chat/memory.rs

memory-unchanged = { $file } 파일을 바꾸지 않았습니다
memory-written = { $file } 파일을 저장했습니다
editor-failed = 편집기 { $editor } 실행이 실패해 아무것도 바꾸지 않았습니다

## cli/src/chat/actions/recovery.rs
recovery-code-made = 이 코드를 적어 이 기기나 백업과 다른 곳에 보관하세요. 다시 표시되지 않으며, 이 코드와 데이터베이스 사본을 함께 가진 사람은 대화를 읽을 수 있습니다. 이전 코드로는 더 이상 아무것도 열 수 없습니다.
recovery-code-ask = 복구 코드
recovered = 이제 이 컴퓨터에서 대화를 열 수 있습니다.

## cli/src/setup.rs
setup-needs-root = `maru setup`은 설정을 쓰고 서비스를 시작하므로 root 권한이 필요합니다. `sudo maru setup`으로 실행하세요
setup-needs-options = 물어볼 터미널이 없습니다. 다음 옵션을 주세요: { $options }
setup-labels = 네트워크 | 기기가 접속하는 주소 | 첫 사용자 | 모델 | 복사할 파일 | 매일 백업하는 폴더 | 쓰는 파일
setup-dry-run = 아무것도 바꾸지 않았습니다(--dry-run).
setup-go-on = 이대로 쓰고, 지금부터 부팅할 때마다 마루를 시작할까요? [y/N]
setup-nothing-changed = 아무것도 바꾸지 않았습니다.
setup-starting = { $target } 시작하는 중
setup-end = 부팅할 때마다 모두 시작됩니다. `sudo systemctl stop { $target }` 명령으로 다음 부팅 때까지 멈춥니다.

## cli/src/setup/args.rs
not-a-public-name = --domain { $name } 값은 공개 DNS의 이름이 아닙니다. home.example.org처럼 이 컴퓨터로 연결되는 이름을 주거나 --lan을 쓰세요

## cli/src/setup/host.rs
setup-other-root = `maru setup`은 루트 /에서만 실행되는 유닛을 설정합니다. { $root } 폴더에는 `maru up`을 쓰세요
setup-no-systemd = `maru setup`은 systemd로 서비스를 시작하는데 이 컴퓨터에는 systemd가 실행되고 있지 않습니다. 서비스를 직접 시작하는 `sudo maru up`을 쓰세요
setup-not-installed = { $target } 유닛이 설치되어 있지 않습니다. maru-home 패키지를 설치하거나, 유닛이 필요 없는 `sudo maru up`을 쓰세요
setup-unknown-release = 경고: 이 시스템은 { $name }입니다. 마루의 패키지는 Debian 13과 Ubuntu 24.04에 맞춰져 있습니다
setup-old-release = { $name } 시스템은 Podman에 Quadlet이 없어 마루의 유닛을 쓸 수 없습니다. Debian 13이나 Ubuntu 24.04로 올리거나, 서비스를 직접 시작하는 `sudo maru up`을 쓰세요

## cli/src/setup/questions.rs
setup-ask-network = 네트워크 이름. 나중에 바꿀 수 없습니다 [{ $usual }]
setup-ask-user = 첫 사용자의 이름. 예: ann
setup-ask-domain = 인증서를 받을, 이 컴퓨터로 연결되는 공개 DNS 이름 [없음: 같은 로컬 네트워크의 기기만]
setup-ask-model = 답할 모델. 번호나 GGUF 파일로 고르세요{ $list }
    모델
setup-ask-model-or = 답할 모델. 번호나 GGUF 파일로 고르세요{ $list }
    모델 [{ $usual }]
setup-ask-file = 답할 모델의 GGUF 파일
setup-ask-backups = 매일 백업할 폴더. 다른 디스크가 좋습니다 [{ $usual }]
setup-no-model = 모델을 고르세요
setup-no-answer = 답이 없습니다. 아무것도 바꾸지 않았습니다

## cli/src/setup/plan.rs
setup-network-stays = --network { $network } 값은 쓸 수 없습니다. 이 네트워크의 도메인은 { $known } 도메인이며 바꿀 수 없습니다
setup-model-name = { $path } 파일은 이 이름으로 복사할 수 없습니다. 글자, 숫자, 점, 하이픈, 밑줄로 이름을 바꾸세요
setup-model-exists = 모델 폴더에 다른 { $name } 파일이 있습니다. 둘 중 하나의 이름을 바꾸세요
address-by-hand = { $file } 파일을 확실하게 고칠 수 없습니다. 직접 server_url = "{ $url }"로 바꾸세요

## cli/src/units
units-run = 이 컴퓨터에서 systemd가 이미 마루를 실행하고 있습니다. 그대로 쓰거나(`maru status`), `sudo systemctl stop { $target }` 명령으로 먼저 멈추세요
no-journalctl = journalctl을 실행할 수 없습니다
log-root = 데몬의 로그는 root와 adm 그룹만 읽을 수 있습니다. `sudo maru log --daemon` 명령을 쓰세요
last-failure = { $unit }: 마지막 오류 { $at }: { $text }
no-systemctl = systemctl을 실행할 수 없습니다
systemctl-failed = `systemctl { $args }` 명령이 실패했습니다: { $error }
unit-ends = { $unit } 유닛이 되풀이해서 끝납니다. `journalctl -u { $unit }` 명령으로 이유를 보세요
unit-not-ready = { $unit } 유닛이 { $seconds }초 동안 준비되지 않았습니다. `journalctl -u { $unit }` 명령으로 이유를 보세요
model-outside = 엔진은 { $folder } 폴더 밖의 모델을 볼 수 없습니다. `maru model pull` 명령으로 { $path } 파일을 그곳에 가져오세요
model-stays = { $reason }. 이전 모델을 그대로 씁니다
model-not-back = { $reason }. 이전 모델도 시작되지 않습니다

## cli/src/upgrade.rs
upgrade-other-root = `maru upgrade`는 루트 /에서만 실행되는 설치된 패키지를 업데이트합니다. { $root } 폴더에는 업데이트할 것이 없습니다
upgrade-not-installed = 이 컴퓨터에는 Maru 패키지가 설치되어 있지 않습니다. `sudo apt install ./FILE`로 maru-home을, 기기라면 maru를 설치하세요
upgrade-no-file = 중간에 끊긴 업데이트가 없습니다. 설치할 패키지를 적으세요: `maru upgrade FILE`
upgrade-needs-root = `maru upgrade`는 패키지를 설치하고 서비스를 다시 시작하므로 root 권한이 필요합니다. `sudo maru upgrade`로 실행하세요
upgrade-runs = 업데이트가 진행되고 있습니다. 끝날 때까지 기다리세요
upgrade-fix-undone = 제대로 된 패키지나 이전 패키지를 다시 설치하세요: `sudo maru upgrade FILE`
upgrade-going-on = 업데이트가 진행되고 있습니다
upgrade-fix-going-on = 끝날 때까지 기다리세요
upgrade-unfinished = 업데이트가 중간에 끊겼습니다
upgrade-plan = { $name } { $version } 버전을 설치합니다. 지금은 Maru { $own } 버전입니다.
upgrade-steps = 먼저 백업을 만듭니다. 그다음 새 버전을 시작하고, 제대로 실행되지 않으면 이전 버전과 데이터를 되돌립니다. 서비스는 1분 정도 쓸 수 없지만, 기기 사이의 연결은 이어집니다.
upgrade-go-on = 설치할까요? [y/N]
upgrade-no-program = { $program } 프로그램을 실행할 수 없습니다

## cli/src/upgrade/former.rs
upgrade-stage = { $path } 파일에 이 버전이 모르는 업데이트 단계가 적혀 있습니다. 가장 새로운 패키지를 설치하세요
upgrade-interrupted = 중간에 끊겼습니다
upgrade-mount = { $path } 폴더는 다른 디스크에 있어 되돌릴 수 없습니다. 디스크를 { $folder } 폴더 전체에 마운트하세요
upgrade-not-copied = 데이터를 복사하지 못했습니다: { $error }
no-cp = cp 프로그램을 실행할 수 없습니다

## cli/src/upgrade/package.rs
upgrade-not-a-package = { $path } 파일은 읽을 수 있는 데비안 패키지가 아닙니다. 다시 내려받으세요
upgrade-architecture = { $path } 파일은 { $architecture }용이고 이 컴퓨터는 { $own }입니다. { $own }용 패키지를 받으세요
upgrade-other-package = { $path } 파일은 { $name } 패키지인데 이 컴퓨터에는 { $own } 패키지가 설치되어 있습니다. { $own } 패키지를 받으세요
upgrade-not-newer = { $path } 파일의 { $version } 버전은 설치된 { $own } 버전보다 새롭지 않습니다. 아무것도 바뀌지 않았습니다

## cli/src/upgrade/trial.rs
upgrade-not-announced = 새 버전이 실행되지만, 무엇을 제공하는지 코디네이터에 알리지 못했습니다({ $error }). `sudo maru setup`을 실행하세요
upgrade-taken-back = 업데이트를 취소하고 { $version } 버전과 이전 데이터를 되돌렸습니다: { $why }

## cli/src/upgrade/units.rs
upgrade-no-answer = { $unit } 유닛이 대화에 답하지 않습니다. `journalctl -u { $unit }` 명령으로 이유를 보세요
upgrade-former-away = 이전 버전과 데이터를 되돌렸지만 시작되지 않습니다

## cli/src/watch.rs
watch-hangs = { $unit } 유닛이 6초 동안 응답하지 않아 강제로 종료합니다. 곧 다시 시작합니다
watch-kills-not = { $unit } 유닛을 종료할 수 없습니다: { $error }

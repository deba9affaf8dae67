# What the AI says by itself: in rooms, and in answer to slash commands.

## ai-gateway/server/src/rooms/command.rs

room-help =
    /model 은 쓸 수 있는 모델을 보여 주고, /model NAME 은 이 방에서 쓸 모델을 고르며, /model default 는 기본 모델로 되돌립니다.
    /status 는 이 방에서 어느 모델이 답하는지 보여 줍니다.
room-status = 이 방에서는 { $model } 모델이 답합니다. { $health }
room-models =
    이 방에서는 { $model } 모델이 답합니다. /model NAME 으로 다른 모델을 고를 수 있습니다:
    { $models }
room-model = 이제부터 이 방에서는 { $model } 모델이 답합니다.

## ai-gateway/server/src/commands.rs

command-near = { $name } 명령은 없습니다. 혹시 { $nearest } 인가요? /help 로 모두 볼 수 있습니다.
command-unknown = { $name } 명령은 없습니다. /help 로 쓸 수 있는 명령을 볼 수 있습니다.
model-well = 지금 쓸 수 있습니다.
model-unwell = 지금은 응답하지 않습니다.
model-unknown = 그런 이름의 모델이 없습니다. /model 로 쓸 수 있는 모델을 볼 수 있습니다.

## ai-gateway/server/src/chat/command.rs

command-help =
    - /new, /reset: 새 대화를 시작합니다. 지금까지의 대화는 다른 이름으로 남습니다
    - /status: 어느 모델이 답하는지 보여 줍니다
    - /model: 쓸 수 있는 모델을 보여 줍니다. /model NAME 은 이 대화에서 쓸 모델을 고르고, /model default 는 기본 모델로 되돌립니다
    - /remember TEXT: 모든 대화에서 기억합니다. /forget TEXT 는 지우고, /memory 는 파일을 보여 줍니다
    - /stop: 답을 멈춥니다(앱이 지원할 때)
    - /export: 대화를 파일로 저장합니다(앱이 지원할 때)
    - /help: 이 목록을 보여 줍니다
command-new = 새 대화입니다.
command-new-former = 새 대화입니다. 지금까지의 대화는 "{ $former }"(으)로 남습니다.
command-status = 이 대화에서는 { $model } 모델이 답합니다. { $health }
command-models =
    이 대화에서는 { $model } 모델이 답합니다. /model NAME 으로 다른 모델을 고를 수 있습니다:

    { $models }
command-model = 이제부터 이 대화에서는 { $model } 모델이 답합니다.
command-model-unkept = 이 대화는 저장되지 않으므로 모델을 골라 둘 수 없습니다. 앱에서 질문마다 모델을 지정할 수 있습니다.
command-stop = 진행 중인 답이 없습니다. 앱은 연결을 끊어 답을 멈춥니다.
command-export = 파일은 앱이 저장합니다. `maru chat --export`를 쓰세요.

## messaging-plugin/participant/src/wording.rs

room-told = 저는 홈 머신의 AI입니다. 지금부터 이 방에 쓰는 글을 읽고, 물어보면 답합니다. 원하지 않으면 저를 방에서 내보내세요. 제 기기는 { $device }, 그 키는 { $key }입니다.
room-cut = … (끊김)
room-stopped = … (중지함)
room-unanswered = 지금은 답할 수 없습니다. 잠시 뒤 다시 물어보세요.

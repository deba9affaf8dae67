# What the AI says in rooms by itself.

## ai-gateway/server/src/rooms/command.rs

room-help =
    /model 은 쓸 수 있는 모델을 보여 주고, /model NAME 은 이 방에서 쓸 모델을 고르며, /model default 는 기본 모델로 되돌립니다.
    /status 는 이 방에서 어느 모델이 답하는지 보여 줍니다.
room-status = 이 방에서는 { $model } 모델이 답합니다. { $health }
room-well = 지금 쓸 수 있습니다.
room-unwell = 지금은 응답하지 않습니다.
room-models =
    이 방에서는 { $model } 모델이 답합니다. /model NAME 으로 다른 모델을 고를 수 있습니다:
    { $models }
room-model = 이제부터 이 방에서는 { $model } 모델이 답합니다.
room-model-unknown = 그런 이름의 모델이 없습니다. /model 로 쓸 수 있는 모델을 볼 수 있습니다.

## messaging-plugin/participant/src/wording.rs

room-told = 저는 홈 머신의 AI입니다. 지금부터 이 방에 쓰는 글을 읽고, 물어보면 답합니다. 원하지 않으면 저를 방에서 내보내세요. 제 기기는 { $device }, 그 키는 { $key }입니다.
room-cut = … (끊김)
room-stopped = … (중지함)
room-unanswered = 지금은 답할 수 없습니다. 잠시 뒤 다시 물어보세요.

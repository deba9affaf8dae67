# What the gateway says in chats by itself.

## ai-gateway/server/src/memory

memory-remembered = 앞으로 모든 대화에서 기억하겠습니다. /memory 는 기억 파일을 보여 주고, /forget TEXT 는 그 내용이 있는 줄을 지웁니다.
memory-remember-usage = 기억할 내용을 { $most }자 이내로 뒤에 써 주세요. 예: /remember 차에는 설탕을 넣지 않음
memory-forgotten =
    다음 내용을 잊었습니다:
    { $lines }
memory-forget-usage = 잊을 내용의 일부를 { $least }자 이상 뒤에 써 주세요. 예: /forget 설탕 — 그 글자가 있는 줄을 모두 지웁니다.
memory-no-match = 기억에 그 내용이 있는 줄이 없습니다.
memory-none = 이 사용자의 기억은 저장하지 않습니다.
memory-empty = 기억이 비어 있습니다. /remember TEXT 로 직접 추가할 때만 기억합니다. /memory on 을 쓰면 AI가 스스로 추가하고 그때마다 알려 줍니다.
memory-empty-on = 기억이 비어 있습니다. /remember TEXT 로 추가할 수 있고, AI도 스스로 추가할 수 있습니다. /memory off 로 끕니다.
memory-files =
    기억은 다음 파일로 되어 있습니다. 직접 추가할 때만 기억합니다. /memory on 을 쓰면 AI가 스스로 추가하고 그때마다 알려 줍니다.
    { $files }
memory-files-on =
    기억은 다음 파일로 되어 있습니다. AI가 스스로 추가할 수 있으며 그때마다 알려 줍니다. /memory off 로 끕니다.
    { $files }
memory-on = 이제부터 AI가 스스로 기억에 추가할 수 있고, 그때마다 알려 줍니다. /memory off 로 끕니다.
memory-off = 이제부터 직접 추가할 때만 기억합니다.
memory-added = AI가 기억에 추가했습니다: { $line }

## ai-gateway/server/src/chat/compact.rs

chat-cut = 이 대화의 앞부분이 모델에 너무 길고, 요약도 만들지 못했습니다. 모델은 이제 그 부분을 모릅니다. 대화에는 그대로 남아 있습니다.

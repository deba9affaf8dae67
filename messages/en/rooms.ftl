# What the AI says by itself: in rooms, and in answer to slash commands.

## ai-gateway/server/src/rooms/command.rs

room-help =
    /model shows which models there are, /model NAME chooses one for this room, /model default the usual one.
    /status shows which model answers here.
room-status = { $model } answers in this room. { $health }
room-models =
    { $model } answers in this room. /model NAME chooses another one:
    { $models }
room-model = From now on { $model } answers in this room.

## ai-gateway/server/src/commands.rs

command-near = There is no command { $name }. Did you mean { $nearest }? /help shows all of them.
command-unknown = There is no command { $name }. /help shows those that there are.
model-well = It is ready.
model-unwell = It does not answer at the moment.
model-unknown = There is no model of this name. /model shows which there are.

## ai-gateway/server/src/chat/command.rs

command-help =
    - /new, /reset: begin a new conversation; the former one is kept under another name
    - /status: which model answers
    - /model: which models there are; /model NAME chooses one for this conversation, /model default the usual one
    - /remember TEXT: know it in every conversation; /forget TEXT removes lines, /memory shows the files
    - /stop: end a reply, where the app offers it
    - /export: the conversation as a file, where the app offers it
    - /help: this list
command-new = A new conversation.
command-new-former = A new conversation. The former one is kept as "{ $former }".
command-status = { $model } answers in this conversation. { $health }
command-models =
    { $model } answers in this conversation. /model NAME chooses another one:

    { $models }
command-model = From now on { $model } answers in this conversation.
command-model-unkept = This conversation is not kept, so no model can be chosen for it. Your app can name one in each question.
command-stop = No reply is in progress here. An app ends one by closing its connection.
command-export = The app writes the file: `maru chat --export` does.

## messaging-plugin/participant/src/wording.rs

room-told = I am the AI of the home machine. From now on I read what is written in this room, and I answer when I am asked. Whoever does not want that removes me from the room. My device is { $device }, and its key is { $key }.
room-cut = … (cut off)
room-stopped = … (stopped)
room-unanswered = I cannot answer now. Ask again in a moment.

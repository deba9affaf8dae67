# What the AI says in rooms by itself.

## ai-gateway/server/src/rooms/command.rs

room-help =
    /model shows which models there are, /model NAME chooses one for this room, /model default the usual one.
    /status shows which model answers here.
room-status = { $model } answers in this room. { $health }
room-well = It is ready.
room-unwell = It does not answer at the moment.
room-models =
    { $model } answers in this room. /model NAME chooses another one:
    { $models }
room-model = From now on { $model } answers in this room.
room-model-unknown = There is no model of this name. /model shows which there are.

## messaging-plugin/participant/src/wording.rs

room-told = I am the AI of the home machine. From now on I read what is written in this room, and I answer when I am asked. Whoever does not want that removes me from the room. My device is { $device }, and its key is { $key }.
room-cut = … (cut off)
room-stopped = … (stopped)
room-unanswered = I cannot answer now. Ask again in a moment.

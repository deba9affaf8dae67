# What the gateway says in chats by itself.

## ai-gateway/server/src/memory

memory-remembered = I will remember that in every conversation of yours. /memory shows the files, /forget TEXT removes lines.
memory-remember-usage = Write what to remember after it, in at most { $most } characters: /remember I drink tea without sugar.
memory-forgotten =
    I have forgotten:
    { $lines }
memory-forget-usage = Write a part of what to forget after it, at least { $least } characters: /forget sugar. Each line that contains it is removed.
memory-no-match = No line of your memory contains that.
memory-none = No memory is kept for you.
memory-empty = Your memory is empty. Only you add to it: /remember TEXT. With /memory on, the AI may add lines by itself, and tells you each time.
memory-empty-on = Your memory is empty. You add to it with /remember TEXT, and the AI may do so by itself; /memory off takes that back.
memory-files =
    Your memory consists of these files. Only you add to it; with /memory on, the AI may add lines by itself, and tells you each time.
    { $files }
memory-files-on =
    Your memory consists of these files. The AI may add lines by itself, and tells you each time; /memory off takes that back.
    { $files }
memory-on = From now on the AI may add lines to your memory by itself, and tells you each time. /memory off takes that back.
memory-off = From now on only you add to your memory.
memory-added = The AI added to your memory: { $line }

## ai-gateway/server/src/chat/compact.rs

chat-cut = The beginning of this conversation is too long for the model, and no summary of it could be made. The model no longer knows it. It stays in the conversation.

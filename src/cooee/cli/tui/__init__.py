"""The full-screen terminal client behind ``cooee chat``.

Pure rooms first: `text` (what a terminal can be trusted with), `book` (all conversations as the SDK tells of them),
`rows` (the list), `timeline` (the messages of one chat), `layout` (messages as styled lines), `palette` (the colours).
Then `session` (the SDK on one side, the book on the other), the widgets, the dialogs, and `app`.
"""

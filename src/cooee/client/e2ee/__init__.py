"""The agent of one device: all of end-to-end encryption that is not network, store or screen (E2EE.md). Sans-I/O.

`Agent` holds what this device knows; `Draft` is one step of it. The SDK integrates it so:

1. **Load.** ``agent = Agent(me, store.load_records(), random)`` once a start.
2. **One draft a turn.** ``draft = agent.draft(now)`` at the first need of a turn; call its methods; when the turn is
   complete, store ``draft.records()`` and ``draft.message_keys`` **in the turn's own transaction**; then
   ``draft.install()``; then act on ``draft.notices``; then send. If the transaction fails, drop the draft: nothing has
   happened. At most one draft may be open; installing one that is not the newest raises.
3. **Drive it.** After each installed turn, and when ``agent.next_due(now)`` is reached: open a turn with
   ``draft.work()`` if ``agent.has_work(now)``; carry out ``agent.wants(now)``; send ``agent.outgoing(…)``.

All calls are synchronous, take at most some tens of milliseconds, and belong to the event loop's thread. ``now`` is
always the wall clock in ms since the epoch.
"""

"""Pure values and rules of chat: ids, messages, numbering, receipts. Imports nothing of cooee, and no I/O."""

"""An independent checker: what a conversation must look like after any number of crashes."""

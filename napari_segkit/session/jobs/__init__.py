"""Child processes that do long work, each with a folder of its own."""

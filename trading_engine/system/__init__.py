"""The machine: clock, state directory, lock, stop file, log, crash points. One file for each."""

"""The command line: what a person types, and what a person or a script reads.

What belongs here: arguments, tables, JSON shapes, exit codes. What does not: any decision, any statement
of SQL (store), any composition of adapters (runtime).

Each command lies in a module that is imported only when the command is used, so that a look at the
positions does not pay for the engine.
"""

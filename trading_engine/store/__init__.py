"""Durable memory: the journal, its projections, and everything that reads or keeps them.

What belongs here: the schema, the one writer, readers, audit, backup and migration of the engine's
database. What does not: any decision, any venue, the meaning of a record (core.project).
"""

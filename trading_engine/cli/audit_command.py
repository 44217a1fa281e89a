"""`audit`: proof that what is written down adds up.

What belongs here: joining the store's checks with the paper wallet, and showing them. What does not: the
checks (store.audit).
"""

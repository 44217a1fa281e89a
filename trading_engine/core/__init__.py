"""The decision core: (state, event) in, (new state, records, effects) out. Pure and synchronous."""

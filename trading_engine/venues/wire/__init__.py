"""What every venue over a network shares: transport, limits, clock, sockets, verdicts. No venue's own facts."""

"""Local servers that speak the venues' own protocols, on the exchange that paper trading uses."""

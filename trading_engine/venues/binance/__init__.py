"""Binance USDⓈ-M perpetual futures over REST and its user stream. Nothing of it is visible above the Venue port."""

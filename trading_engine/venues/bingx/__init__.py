"""BingX perpetual swaps, live and demo (VST). Nothing outside this package knows its spellings."""

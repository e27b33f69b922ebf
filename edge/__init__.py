"""The edge tier: averages its clients' updates for some edge rounds and forwards the result to the root."""

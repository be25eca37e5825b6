"""The judge over RPC: methods that `sandbox serve` is given, and what they work on."""

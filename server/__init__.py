"""The root tier: plans, weighs, prunes, evaluates and keeps the global model."""

"""The engine: uses inputs, decides, reconciles. The only orchestration."""

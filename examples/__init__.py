"""Examples of modelmend at work."""

"""The only code that speaks SQL: one implementation for SQLite and PostgreSQL."""

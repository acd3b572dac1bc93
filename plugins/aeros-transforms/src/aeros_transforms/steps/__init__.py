"""Steps: what maps data, and says what it does to the schema."""

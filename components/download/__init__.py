"""The download step."""

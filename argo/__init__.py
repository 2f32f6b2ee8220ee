"""What Workflows run: the steps of the templates in this folder."""

"""Write documents: for a terminal, as Markdown, HTML and JSON, and to files."""

"""Report: figures, tables and text of a run, as HTML and tagged PDF."""

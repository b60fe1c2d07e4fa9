"""Single pictures as files: those inside a page, and those that a numbered sequence is made of."""

"""Attention of queries over codes, of pixels over places."""

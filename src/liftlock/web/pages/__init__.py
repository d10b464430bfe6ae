"""The pages that people look at: one module and one template a screen, on the foundation in site, page and rendering."""

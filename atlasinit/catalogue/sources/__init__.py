"""Where files come from: packages, TemplateFlow, nilearn, addresses."""

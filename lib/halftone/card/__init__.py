"""Cards of datasets and models as Markdown and as self-contained HTML pages."""
